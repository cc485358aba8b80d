import { setTimeout as sleep } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import type { EventEnvelope, KosEvent, ModelDelta } from '#schemas/event.ts';
import { farewellMs, type FeedDependencies, feedEvents, type FeedRequest, type StreamTiming, usualTiming } from './event-feed.ts';

/** Close codes of RFC 6455 §7.4.1 and IANA's registry. */
const closeCodes = { policyViolation: 1008, tryAgainLater: 1013 } as const;

/** The same events over a WebSocket, from server to client only, in the envelope of earlier kOS documents. */
export async function sendEvents(socket: WebSocket, dependencies: FeedDependencies, request: FeedRequest, timing: StreamTiming = usualTiming): Promise<void> {
  let seen = request.after;
  let answered = true;
  const gone = new AbortController();
  const part = (code: number, reason: string): void => {
    partFrom(socket, code, reason);
    gone.abort();
  };
  const send = async (envelope: EventEnvelope): Promise<void> => {
    const isInTime = await isTaken(socket, JSON.stringify(envelope), timing.patienceMs);
    seen = envelope.position ?? seen;
    if (isInTime) return;
    dependencies.losses.slow({ kind: 'websocket', scope: request.scope, position: seen, patienceMs: timing.patienceMs });
    part(closeCodes.tryAgainLater, `You took nothing for ${timing.patienceMs} ms: come back with after=${seen ?? ''}`);
  };
  // What a client says is no request: it would act on nothing.
  socket.once('message', () => part(closeCodes.policyViolation, 'This socket goes from server to client only.'));
  socket.on('pong', () => {
    answered = true;
  });
  socket.once('close', () => gone.abort());
  const sink = {
    begin: (position: string | null) => send(ownEnvelope('ready', {}, position ?? seen)),
    reset: (reason: string) => send(ownEnvelope('reset', { reason }, null)),
    event: (event: KosEvent) => send(envelopeOf(event)),
    delta: (delta: ModelDelta) => send({ ...ownEnvelope('model.delta', { ...delta.data }, null), task_id: delta.runId, timestamp: delta.at }),
    beat: async (): Promise<void> => {
      if (!answered) socket.terminate();
      answered = false;
      if (socket.readyState === socket.OPEN) socket.ping();
    },
  };
  await feedEvents(sink, dependencies, { ...request, signal: AbortSignal.any([request.signal, gone.signal]) }, timing.heartbeatEveryMs);
  part(closeCodes.policyViolation, 'Your right to these events has ended.');
}

/** Does nothing to a socket that is closing. A client that does not answer is hung up on. */
function partFrom(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState !== socket.OPEN) return;
  socket.close(code, reason);
  const hangUp = setTimeout(() => socket.terminate(), farewellMs);
  socket.once('close', () => clearTimeout(hangUp));
}

/** False: the client's side took nothing for so long. A message counts as taken when its last byte was handed to the network; one is held at a time. */
async function isTaken(socket: WebSocket, text: string, patienceMs: number): Promise<boolean> {
  if (socket.readyState !== socket.OPEN) return true;
  const taken = new Promise<true>((resolve) => socket.send(text, () => resolve(true)));
  const timer = new AbortController();
  try {
    return await Promise.race([taken, sleep(patienceMs, false, { signal: timer.signal })]);
  } finally {
    timer.abort();
  }
}

const envelopeOf = ({ id, type, runId, data, at, position }: KosEvent): EventEnvelope => ({
  id,
  type,
  agent: typeof data['agent'] === 'string' ? data['agent'] : null,
  task_id: runId,
  payload: data,
  timestamp: at,
  position,
});

const ownEnvelope = (type: 'ready' | 'reset' | 'model.delta', payload: EventEnvelope['payload'], position: string | null): EventEnvelope => ({
  id: null,
  type,
  agent: null,
  task_id: null,
  payload,
  timestamp: new Date().toISOString(),
  position,
});
