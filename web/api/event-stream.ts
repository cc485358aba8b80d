import type { Response } from 'express';
import type { KosEvent, ModelDelta } from '#schemas/event.ts';
import { farewellMs, type FeedDependencies, feedEvents, type FeedRequest, type StreamTiming, usualTiming } from './event-feed.ts';

/** Events as server-sent events, from a position on, until the client goes. */
export async function streamEvents(
  response: Response,
  dependencies: FeedDependencies,
  request: FeedRequest,
  timing: StreamTiming = usualTiming,
): Promise<void> {
  let seen = request.after;
  const dropped = new AbortController();
  const send = async (text: string): Promise<void> => {
    if (await isTaken(response, text, timing.patienceMs)) return;
    dependencies.losses.slow({ kind: 'sse', scope: request.scope, position: seen, patienceMs: timing.patienceMs });
    sendAway(response, { reason: 'slow', message: `You took nothing for ${timing.patienceMs} ms: come back with your position.`, position: seen });
    dropped.abort();
  };
  const sink = {
    begin: async (position: string | null): Promise<void> => {
      openStream(response);
      seen = position ?? seen;
      if (position !== null) await send(`id: ${position}\nevent: ready\ndata: ${JSON.stringify({ position })}\n\n`);
    },
    reset: (reason: string) => send(`event: reset\ndata: ${JSON.stringify({ reason })}\n\n`),
    event: (event: KosEvent) => {
      seen = event.position;
      return send(`id: ${event.position}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    },
    delta: (delta: ModelDelta) => send(`event: ${delta.type}\ndata: ${JSON.stringify(delta)}\n\n`),
    beat: () => send(': heartbeat\n\n'),
  };
  try {
    await feedEvents(sink, dependencies, { ...request, signal: AbortSignal.any([request.signal, dropped.signal]) }, timing.heartbeatEveryMs);
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

/** Says why, behind all that was sent before. Who does not read that either is hung up on. */
function sendAway(response: Response, why: { reason: string; message: string; position: string | null }): void {
  response.end(`event: dropped\ndata: ${JSON.stringify(why)}\n\n`);
  const hangUp = setTimeout(() => response.destroy(), farewellMs);
  response.once('close', () => clearTimeout(hangUp));
}

/** False: the client took nothing for so long. One message beyond what the connection buffers is held at a time. */
const isTaken = async (response: Response, text: string, patienceMs: number): Promise<boolean> =>
  response.destroyed || response.writableEnded || response.write(text) || (await hasDrained(response, patienceMs));

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
