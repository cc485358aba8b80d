import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFinalRunStatus, type RunStatus } from '#schemas/run.ts';
import type { Installation } from './installation.ts';
import { chainLength } from './plans.ts';
import type { Sink } from './sink.ts';

/** A run that was accepted, and what it should leave in the world. */
export interface Load {
  kind: 'fan-out' | 'fetch' | 'send' | 'chain' | 'approval' | 'timer';
  runId: string;
  /** Effects that it should leave. */
  items: number;
  /** When the answer came that it is accepted, ms since 1970. */
  acceptedAt: number;
}

export interface Wanted {
  kind: Load['kind'];
  /** Items of a fan-out; others have as many as their plan says. */
  count?: number;
  /** Of a timer. */
  forMs?: number;
}

const endTimeoutMs = 180_000;

/** Accepted once, however often the request has to be repeated: the key is the same. */
export async function startLoad(installation: Installation, sink: Sink, wanted: Wanted): Promise<Load> {
  const { kind, count = 1, forMs = 0 } = wanted;
  const key = randomUUID();
  const input =
    kind === 'fan-out'
      ? { count }
      : kind === 'timer'
        ? { sink: sink.url, forMs }
        : kind === 'fetch' || kind === 'send'
          ? { sink: sink.url, count }
          : { sink: sink.url };
  const started = await installation.patiently((client) =>
    client.runs.start({ plan: kind === 'fan-out' ? kind : `chaos-${kind}`, input, labels: { chaos: key } }, key),
  );
  return { kind, runId: started.id, items: kind === 'chain' ? chainLength : count, acceptedAt: Date.now() };
}

export async function statusOf(installation: Installation, runId: string): Promise<RunStatus> {
  return (await installation.patiently((client) => client.runs.get(runId))).status;
}

/** Returns those that have not ended in time. */
export async function waitForEnds(installation: Installation, loads: readonly Load[], timeoutMs = endTimeoutMs): Promise<Load[]> {
  const until = performance.now() + timeoutMs;
  const open = [...loads];
  while (open.length > 0) {
    const [first] = open;
    if (first !== undefined && isFinalRunStatus(await statusOf(installation, first.runId))) open.shift();
    else if (performance.now() < until) await sleep(100);
    else break;
  }
  const statuses = await Promise.all(open.map(({ runId }) => statusOf(installation, runId)));
  return open.filter((_load, index) => !isFinalRunStatus(statuses[index] ?? ''));
}
