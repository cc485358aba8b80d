import { once } from 'node:events';
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

const heartbeatEveryMs = 15_000;
/** Read and held at once, for one client. */
const batch = 200;
/** A client that takes nothing for so long is dropped; it comes back with `Last-Event-ID` and misses nothing. */
const patienceMs = 30_000;

/** Server-sent events of one run, from a position on, until the client goes. Memory is bounded: the next batch is read when the last one was taken. */
export async function streamEvents(response: Response, dependencies: StreamDependencies, request: StreamRequest): Promise<void> {
  const { scope, signal } = request;
  let news = new AbortController();
  const unwatch = dependencies.listener.watch(scope.runId, () => news.abort());
  try {
    const start = await resumeFrom(dependencies.database, dependencies.system, scope, request.after);
    openStream(response);
    if (start.reset !== null) await write(response, `event: reset\ndata: ${JSON.stringify({ reason: start.reset })}\n\n`);
    let afterSeq = start.afterSeq;
    let lastWriteAt = performance.now();
    while (!signal.aborted) {
      news = new AbortController();
      const events = await readEvents(dependencies.database, scope, start.epoch, afterSeq, batch);
      for (const event of events) await write(response, formatEvent(event));
      if (events.length > 0) {
        afterSeq = parsePosition(events.at(-1)?.position ?? '')?.seq ?? afterSeq;
        lastWriteAt = performance.now();
      }
      if (events.length === batch) continue;
      const silentMs = performance.now() - lastWriteAt;
      await sleep(Math.max(0, heartbeatEveryMs - silentMs), undefined, { signal: AbortSignal.any([news.signal, signal]) }).catch(() => undefined);
      if (performance.now() - lastWriteAt >= heartbeatEveryMs && !signal.aborted) {
        await write(response, ': heartbeat\n\n');
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
async function write(response: Response, text: string): Promise<void> {
  if (response.destroyed || response.write(text)) return;
  const tooSlow = AbortSignal.timeout(patienceMs);
  try {
    await Promise.race([once(response, 'drain', { signal: tooSlow }), once(response, 'close', { signal: tooSlow })]);
  } catch (error) {
    if (!tooSlow.aborted) throw error;
    response.destroy();
  }
}
