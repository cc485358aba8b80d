import { setTimeout as delay } from 'node:timers/promises';
import { createParser } from 'eventsource-parser';
import { KosError } from '#core/errors.ts';
import type { KosEvent, ModelDelta } from '#schemas/event.ts';
import type { Transport } from './transport.ts';

/** What following a stream of events tells, in order. */
export type StreamItem =
  | { kind: 'event'; event: KosEvent }
  /** Text of a model call that is under way. */
  | { kind: 'delta'; delta: ModelDelta }
  /** The server's events start anew (a restored database): what was seen so far says nothing about what comes. */
  | { kind: 'reset' }
  /** Nothing came for `idleMs`: a good moment to look for oneself. */
  | { kind: 'idle' }
  | { kind: 'lost'; error: KosError }
  | { kind: 'connected' };

export interface FollowOptions {
  path: string;
  query?: Record<string, string | undefined>;
  signal: AbortSignal;
  idleMs: number;
}

/** The server sends a heartbeat every 15 s; three missed in a row mean that the connection is dead though nobody closed it. */
const silenceLimitMs = 45_000;
const reconnectDelaysMs = [250, 500, 1000, 2000];
/** A server that stays away this long is not restarting. */
const patienceMs = 120_000;

type ServerMessage = Extract<StreamItem, { kind: 'event' | 'delta' | 'reset' }>;

/**
 * Follows `GET path` as server-sent events across disconnects and restarts of the server, from the last position seen (`Last-Event-ID`), until the
 * signal aborts. Throws when the server refuses (4xx), or stays away for two minutes.
 */
export async function* followEvents(transport: Transport, options: FollowOptions): AsyncGenerator<StreamItem> {
  let lastEventId: string | null = null;
  let failures = 0;
  let lostAt: number | null = null;
  while (!options.signal.aborted) {
    try {
      for await (const item of readConnection(transport, options, lastEventId)) {
        if (item.kind === 'position') {
          lastEventId = item.position;
          continue;
        }
        if (item.kind !== 'connected' || lostAt !== null) yield item;
        [failures, lostAt] = [0, null];
      }
    } catch (thrown) {
      if (options.signal.aborted) return;
      const error = asLostConnection(thrown);
      lostAt ??= Date.now();
      if (Date.now() - lostAt > patienceMs) throw error;
      if (failures === 0) yield { kind: 'lost', error };
      failures += 1;
      transport.forgetCredentials();
    }
    await pause(reconnectDelaysMs[Math.min(failures, reconnectDelaysMs.length - 1)] ?? 2000, options.signal);
  }
}

/** Refusals end the stream; whatever says "not now" is waited out. */
function asLostConnection(thrown: unknown): KosError {
  if (!(thrown instanceof KosError)) {
    return new KosError({ code: 'stream_broken', message: 'The stream of events broke off.', status: 503, retryable: true, cause: thrown });
  }
  if (thrown.status >= 500 || thrown.status === 429) return thrown;
  throw thrown;
}

type ConnectionItem = StreamItem | { kind: 'position'; position: string | null };

async function* readConnection(transport: Transport, options: FollowOptions, lastEventId: string | null): AsyncGenerator<ConnectionItem> {
  const connection = new AbortController();
  const signal = AbortSignal.any([options.signal, connection.signal]);
  const headers = { accept: 'text/event-stream', ...(lastEventId === null ? {} : { 'last-event-id': lastEventId }) };
  try {
    const { response } = await transport.send({ method: 'GET', path: options.path, query: options.query ?? {}, headers, signal, retries: 0 });
    yield { kind: 'connected' };
    const received: (ServerMessage | { kind: 'position'; position: string | null })[] = [];
    const parser = createParser({ onEvent: (message) => received.push(...readMessage(message)) });
    const reader = (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream()).getReader();
    for await (const chunk of chunksOrIdle(reader, options.idleMs)) {
      if (chunk === null) {
        yield { kind: 'idle' };
        continue;
      }
      parser.feed(chunk);
      yield* received.splice(0);
    }
  } finally {
    connection.abort();
  }
}

/** Null each time nothing came for `idleMs`; throws after the limit of silence. */
async function* chunksOrIdle(reader: ReadableStreamDefaultReader<string>, idleMs: number): AsyncGenerator<string | null> {
  let lastByteAt = Date.now();
  let pending = reader.read();
  for (;;) {
    const outcome = await withinIdleTime(pending, idleMs);
    if (outcome === null) {
      if (Date.now() - lastByteAt > silenceLimitMs) {
        throw new KosError({ code: 'stream_silent', message: 'The stream of events fell silent.', status: 503, retryable: true });
      }
      yield null;
      continue;
    }
    if (outcome.done) return;
    lastByteAt = Date.now();
    yield outcome.value;
    pending = reader.read();
  }
}

/** Null: not yet. Leaves no timer behind, which would hold the process. */
async function withinIdleTime<Value>(pending: Promise<Value>, idleMs: number): Promise<Value | null> {
  const timer = new AbortController();
  try {
    return await Promise.race([pending, delay(idleMs, null, { signal: timer.signal })]);
  } finally {
    timer.abort();
  }
}

/** The position counts only once the event before it has been handed on, so it follows its event. */
function readMessage(message: {
  event?: string | undefined;
  id?: string | undefined;
  data: string;
}): (ServerMessage | { kind: 'position'; position: string | null })[] {
  if (message.event === 'reset') return [{ kind: 'reset' }, { kind: 'position', position: null }];
  if (message.event === 'model.delta') return [{ kind: 'delta', delta: JSON.parse(message.data) as ModelDelta }];
  const position = message.id === undefined ? [] : [{ kind: 'position' as const, position: message.id }];
  const event = parseEvent(message.data);
  return event === null ? position : [{ kind: 'event', event }, ...position];
}

function parseEvent(data: string): KosEvent | null {
  const value: unknown = JSON.parse(data);
  const isEvent = typeof value === 'object' && value !== null && 'type' in value && 'at' in value && 'data' in value;
  return isEvent ? (value as KosEvent) : null; // e.g. `dropped`: the connection ends, and the next one goes on
}

async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  await delay(durationMs, undefined, { signal }).catch(() => undefined); // aborted: the loop's condition ends it
}
