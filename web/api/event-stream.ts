import { setTimeout as sleep } from 'node:timers/promises';
import type { Response } from 'express';
import type { KosEvent } from '#schemas/event.ts';
import type { Database, SystemDatabase } from '#services/database/connect.ts';
import type { EventListener } from '#services/events/listener.ts';
import { type EventScope, readEvents, resumeFrom } from '#services/events/reader.ts';
import { parsePosition } from '#services/events/position.ts';

export interface StreamDependencies {
  database: Database;
  system: SystemDatabase;
  listener: EventListener;
}

export interface StreamRequest {
  scope: EventScope & { runId: string };
  /** Position seen last, or null for the beginning. */
  after: string | null;
  signal: AbortSignal;
}

export interface StreamTiming {
  heartbeatEveryMs: number;
  /** A client that takes nothing for so long is dropped; it comes back with `Last-Event-ID` and misses nothing. */
  patienceMs: number;
}

const usualTiming: StreamTiming = { heartbeatEveryMs: 15_000, patienceMs: 30_000 };
/** Read and held at once, for one client. */
const batch = 200;

/** Server-sent events of one run, from a position on, until the client goes. Memory is bounded: the next batch is read when the last one was taken. */
export async function streamEvents(
  response: Response,
  dependencies: StreamDependencies,
  request: StreamRequest,
  timing: StreamTiming = usualTiming,
): Promise<void> {
  const { scope, signal } = request;
  const { heartbeatEveryMs } = timing;
  const send = (text: string): Promise<void> => write(response, text, timing.patienceMs);
  let news = new AbortController();
  const unwatch = dependencies.listener.watch(scope.runId, () => news.abort());
  try {
    const start = await resumeFrom(dependencies.database, dependencies.system, scope, request.after);
    openStream(response);
    if (start.reset !== null) await send(`event: reset\ndata: ${JSON.stringify({ reason: start.reset })}\n\n`);
    let afterSeq = start.afterSeq;
    let lastWriteAt = performance.now();
    while (!signal.aborted) {
      news = new AbortController();
      const events = await readEvents(dependencies.database, scope, start.epoch, afterSeq, batch);
      for (const event of events) await send(formatEvent(event));
      if (events.length > 0) {
        afterSeq = parsePosition(events.at(-1)?.position ?? '')?.seq ?? afterSeq;
        lastWriteAt = performance.now();
      }
      if (events.length === batch) continue;
      const silentMs = performance.now() - lastWriteAt;
      await sleep(Math.max(0, heartbeatEveryMs - silentMs), undefined, { signal: AbortSignal.any([news.signal, signal]) }).catch(() => undefined);
      if (performance.now() - lastWriteAt >= heartbeatEveryMs && !signal.aborted) {
        await send(': heartbeat\n\n');
        lastWriteAt = performance.now();
      }
    }
  } finally {
    unwatch();
    response.end();
  }
}

function openStream(response: Response): void {
  response.status(200).set({ 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' });
  response.flushHeaders();
  response.socket?.setNoDelay(true);
  // Tells clients how soon to come back, in milliseconds.
  response.write('retry: 1000\n\n');
}

const formatEvent = (event: KosEvent): string => `id: ${event.position}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

/** Resolves when the client can take more; breaks the connection off when it takes nothing. */
async function write(response: Response, text: string, patienceMs: number): Promise<void> {
  if (response.destroyed || response.write(text)) return;
  if (!(await hasDrained(response, patienceMs))) response.destroy();
}

/** False: the client took nothing for so long. A client that has gone has nothing to take any more. */
function hasDrained(response: Response, patienceMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (drained: boolean): void => {
      clearTimeout(timer);
      response.off('drain', onReady).off('close', onReady);
      resolve(drained);
    };
    const onReady = (): void => settle(true);
    const timer = setTimeout(() => settle(false), patienceMs);
    response.once('drain', onReady).once('close', onReady);
  });
}
