import { setTimeout as sleep } from 'node:timers/promises';
import { isFinalRunStatus, type Run } from '#schemas/run.ts';
import type { Installation } from './installation.ts';
import type { Load } from './load.ts';
import { resolveUncertain } from './people.ts';
import type { Sink } from './sink.ts';

const endTimeoutMs = 180_000;

export async function readRun(installation: Installation, runId: string): Promise<Run> {
  return await installation.patiently((client) => client.runs.get(runId));
}

const hasEnded = async (installation: Installation, { runId }: Load): Promise<boolean> => isFinalRunStatus((await readRun(installation, runId)).status);

/** Says what came of uncertain effects, as people would who can look at the sink. Returns the loads that have not ended in time. */
export async function waitForEnds(installation: Installation, sink: Sink, loads: readonly Load[], timeoutMs = endTimeoutMs): Promise<Load[]> {
  const until = performance.now() + timeoutMs;
  const open = [...loads];
  while (open.length > 0 && performance.now() < until) {
    const [first] = open;
    if (first === undefined) break;
    const run = await readRun(installation, first.runId);
    if (isFinalRunStatus(run.status)) open.shift();
    else if (run.status === 'waiting' && first.kind === 'send') await resolveUncertain(installation, sink, first);
    else await sleep(100);
  }
  const ended = await Promise.all(open.map((load) => hasEnded(installation, load)));
  return open.filter((_load, index) => ended[index] !== true);
}
