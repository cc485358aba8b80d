import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import proto from '@temporalio/proto';
import { projectRoot } from '#config';
import type { StoredHistory } from '#tests/rig/replay.ts';

// A default import: Node cannot see this CommonJS package's names, only vitest can.
const HistoryMessage = proto.temporal.api.history.v1.History;

const folder = join(projectRoot, 'tests', 'histories');
const ending = '.binpb';

/** The namespace that their payloads are bound to. */
export const historiesNamespace = 'default';

/** A file is called after its story and the workflow id that its payloads are bound to: `<story>~<workflow id>~<n>.binpb`. */
const fileName = (story: string, workflowId: string, position: number): string => `${story}~${workflowId}~${position}${ending}`;

export async function storeHistory(story: string, position: number, { workflowId, history }: StoredHistory): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, fileName(story, workflowId, position)), HistoryMessage.encode(withoutMachine(history)).finish());
}

/** Workers name themselves, and their own queues, after their process and machine: `<pid>@<host>…`. */
function withoutMachine<Part>(part: Part): Part {
  if (typeof part === 'string') return part.replace(/^\d+@[\w.]+/, 'worker@host') as Part;
  if (typeof part !== 'object' || part === null || part instanceof Uint8Array) return part;
  for (const key of Object.keys(part) as (keyof Part)[]) part[key] = withoutMachine(part[key]);
  return part;
}

/** As protobuf: the SDK's reader of JSON histories does not take them here ("type must be a Type"). */
export async function* storedHistories(): AsyncGenerator<StoredHistory> {
  for (const name of (await readdir(folder)).toSorted()) {
    if (!name.endsWith(ending)) continue;
    const [, workflowId] = name.slice(0, -ending.length).split('~');
    if (workflowId === undefined) throw new Error(`${name} in tests/histories does not name its workflow.`);
    yield { workflowId, history: HistoryMessage.decode(await readFile(join(folder, name))) };
  }
}
