import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Invocation } from '../invocation.ts';
import { saveStream } from '../save-stream.ts';

export interface ExportOptions {
  output?: string;
  force?: boolean;
  artifacts?: boolean;
  wholeOutputs?: boolean;
}

/** `run export`: the document as the server sends it, to standard output or into a file that is complete or not there. */
export async function exportRun({ client, output }: Invocation, runId: string, options: ExportOptions): Promise<void> {
  const response = await client.runs.export(runId, {
    artifacts: options.artifacts === true ? 'contents' : undefined,
    outputs: options.wholeOutputs === true ? 'whole' : undefined,
  });
  const body = response.body === null ? Readable.from([]) : Readable.fromWeb(response.body);
  if (options.output === undefined) {
    await pipeline(body, process.stdout, { end: false });
    return;
  }
  await saveStream(body, options.output, options.force === true);
  if (output.json) output.document({ id: runId, file: options.output });
  else output.say(`Written to ${options.output}.`);
}
