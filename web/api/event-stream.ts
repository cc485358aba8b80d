import type { Response } from 'express';
import type { KosEvent } from '#schemas/event.ts';
import { type FeedDependencies, feedEvents, type FeedRequest, type StreamTiming, usualTiming } from './event-feed.ts';

/** Events as server-sent events, from a position on, until the client goes. */
export async function streamEvents(
  response: Response,
  dependencies: FeedDependencies,
  request: FeedRequest,
  timing: StreamTiming = usualTiming,
): Promise<void> {
  const send = (text: string): Promise<void> => write(response, text, timing.patienceMs);
  const sink = {
    begin: async (position: string | null): Promise<void> => {
      openStream(response);
      if (position !== null) await send(`id: ${position}\nevent: ready\ndata: ${JSON.stringify({ position })}\n\n`);
    },
    reset: (reason: string) => send(`event: reset\ndata: ${JSON.stringify({ reason })}\n\n`),
    event: (event: KosEvent) => send(`id: ${event.position}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`),
    beat: () => send(': heartbeat\n\n'),
  };
  try {
    await feedEvents(sink, dependencies, request, timing.heartbeatEveryMs);
  } finally {
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
