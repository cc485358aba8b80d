import { setTimeout as sleep } from 'node:timers/promises';
import { isFinalRunStatus, type Run } from '#schemas/run.ts';
import type { Database } from '#services/database/connect.ts';
import type { EventListener } from '#services/events/listener.ts';
import { fetchRun } from '#services/runs/read.ts';

/** Longest wait that `Prefer: wait=N` may ask for, in seconds. */
const longestWaitSeconds = 60;
/** Behind the events, in milliseconds. */
const lookEveryMs = 1_000;

/** The seconds of `Prefer: wait=N` (RFC 7240), at most 60; null when the client does not ask to wait. */
export function preferredWait(prefer: string | undefined): number | null {
  const seconds = /(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,9})"?/i.exec(prefer ?? '')?.[1];
  return seconds === undefined ? null : Math.min(Number(seconds), longestWaitSeconds);
}

/** The run as soon as it has ended, or as it is after `seconds`, or when the client has gone. */
export async function waitForRun(
  dependencies: { database: Database; listener: EventListener },
  request: { workspaceId: string; runId: string; seconds: number; signal: AbortSignal },
): Promise<Run> {
  const { workspaceId, runId } = request;
  const until = performance.now() + request.seconds * 1_000;
  let news = new AbortController();
  const unwatch = dependencies.listener.watch(runId, () => news.abort());
  try {
    for (;;) {
      news = new AbortController();
      const run = await fetchRun(dependencies.database, workspaceId, runId);
      const leftMs = until - performance.now();
      if (isFinalRunStatus(run.status) || leftMs <= 0 || request.signal.aborted) return run;
      await sleep(Math.min(leftMs, lookEveryMs), undefined, { signal: AbortSignal.any([news.signal, request.signal]) }).catch(() => undefined);
    }
  } finally {
    unwatch();
  }
}
