import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { KosError } from '#core/errors.ts';
import { usageFault } from '../faults.ts';
import type { Invocation } from '../invocation.ts';
import { addListOptions, type ListOptions, showPage } from '../lists.ts';
import { saveStream } from '../save-stream.ts';
import { resolveArtifactId, resolveRunId } from '../short-ids.ts';
import { visibleText } from '../terminal-text.ts';
import { describeBytes, describeInstant } from '../times.ts';

export function defineArtifact(artifact: Command, invocation: Invocation): void {
  addListOptions(artifact.command('list').summary('what runs have produced, the newest first'))
    .option('--run <id>', 'of this run')
    .action(async (options: ListOptions & { run?: string }) => {
      await list(invocation, options);
    });
  artifact
    .command('get')
    .summary('the content, to standard output or into a file')
    .argument('<id>', 'the artifact')
    .option('-o, --output <file>', 'write into this file')
    .option('--force', 'overwrite the file')
    .action(async (id: string, options: { output?: string; force?: boolean }) => {
      await fetchContent(invocation, id, options);
    });
}

async function list(invocation: Invocation, options: ListOptions & { run?: string }): Promise<void> {
  const { client } = invocation;
  const { run, ...page } = options;
  const now = Date.now();
  const runId = run === undefined ? undefined : await resolveRunId(client, run);
  showPage(invocation, await client.artifacts.list({ ...page, run: runId }), {
    headings: ['ID', 'NAME', 'SIZE', 'RUN', 'STEP', 'MADE'],
    row: (item) => [item.id, item.name, describeBytes(item.sizeBytes), item.runId, item.stepPath, describeInstant(item.createdAt, now)],
    empty: 'No artifact yet. One is made by: kai run start log-triage --input path=/var/log --input autoApprove=true --wait',
  });
}

async function fetchContent({ output, client }: Invocation, given: string, options: { output?: string; force?: boolean }): Promise<void> {
  if (output.json && options.output === undefined)
    throw usageFault('An artifact is bytes, not a JSON document.', 'Write it into a file with -o, or leave --json away.');
  const id = await resolveArtifactId(client, given);
  const response = await client.artifacts.content(id);
  const body = response.body === null ? Readable.from([]) : Readable.fromWeb(response.body);
  if (options.output !== undefined) {
    await saveStream(body, options.output, options.force === true);
    if (output.json) output.document({ id, file: options.output });
    else output.say(`Written to ${options.output}.`);
    return;
  }
  if (!output.terminal.data) {
    await pipeline(body, process.stdout, { end: false });
    return;
  }
  const bytes = Buffer.concat(await body.toArray());
  const text = textOf(bytes);
  if (text === null) {
    throw new KosError({
      code: 'binary_on_terminal',
      message: `${id} is not text (${response.headers.get('content-type') ?? 'no type'}, ${describeBytes(bytes.length)}).`,
      fix: `kai artifact get ${id} -o FILE`,
    });
  }
  output.data(visibleText(text).trimEnd());
}

/** Null: not UTF-8, or with NUL bytes, as text never is. */
function textOf(bytes: Buffer): string | null {
  if (bytes.includes(0)) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null; // not UTF-8
  }
}
