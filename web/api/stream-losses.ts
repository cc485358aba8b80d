import type { Logger } from 'pino';
import type { EventScope } from '#services/events/reader.ts';

/** How a client reads events. */
export type StreamKind = 'sse' | 'websocket';

export interface SlowClient {
  kind: StreamKind;
  scope: EventScope;
  /** Of the last event that was handed to its connection; null: none was. */
  position: string | null;
  patienceMs: number;
}

/** Streams that were ended because their client took nothing: told in the log, counted for the metrics. */
export interface StreamLosses {
  slow(client: SlowClient): void;
  /** Since this process started. */
  counts(): Readonly<Record<StreamKind, number>>;
}

export function countStreamLosses(log: Logger): StreamLosses {
  const counts: Record<StreamKind, number> = { sse: 0, websocket: 0 };
  return {
    slow: ({ kind, scope, position, patienceMs }) => {
      counts[kind] += 1;
      log.warn({ kind, ...scope, position, patienceMs }, 'a stream was dropped: its client took nothing for too long');
    },
    counts: () => counts,
  };
}
