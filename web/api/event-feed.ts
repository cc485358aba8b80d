import { setTimeout as sleep } from 'node:timers/promises';
import type { KosEvent } from '#schemas/event.ts';
import type { Database, SystemDatabase } from '#services/database/connect.ts';
import type { EventListener } from '#services/events/listener.ts';
import { formatPosition, parsePosition } from '#services/events/position.ts';
import { type EventScope, readEvents, type ResumePoint, resumeFrom, standNow } from '#services/events/reader.ts';
import type { StreamLosses } from './stream-losses.ts';

export interface FeedDependencies {
  database: Database;
  system: SystemDatabase;
  listener: EventListener;
  losses: StreamLosses;
}

export interface FeedRequest {
  scope: EventScope;
  /** Position seen last. Null: a run's events from its first one, a workspace's from now on. */
  after: string | null;
  signal: AbortSignal;
  /** Whether the reader gets this event: may read it at this moment, and asked for its kind. Absent: all. */
  wanted?: (event: KosEvent) => boolean;
}

export interface StreamTiming {
  heartbeatEveryMs: number;
  /** A client that takes nothing for so long is dropped; it comes back with its position and misses nothing. */
  patienceMs: number;
}

export const usualTiming: StreamTiming = { heartbeatEveryMs: 15_000, patienceMs: 30_000 };

/** So long a client that is sent away may take to read what it was sent before. */
export const farewellMs = 2_000;

/** Where events go: each call resolves when the client can take more. */
export interface EventSink {
  /** Once, before anything else. `position`: where a reader stands who begins with what comes; null: they have one, or begin at the beginning. */
  begin(position: string | null): Promise<void>;
  /** The position asked for is not known any more: what follows starts over. */
  reset(reason: string): Promise<void>;
  event(event: KosEvent): Promise<void>;
  beat(): Promise<void>;
}

/** Read and held at once, for one client. */
const batch = 200;

/** Events from a position on, until the client goes. Memory is bounded: the next batch is read when the last one was taken. */
export async function feedEvents(sink: EventSink, dependencies: FeedDependencies, request: FeedRequest, heartbeatEveryMs: number): Promise<void> {
  const { scope, signal, wanted = () => true } = request;
  let news = new AbortController();
  const unwatch = dependencies.listener.watch(scope.runId ?? scope.workspaceId, () => news.abort());
  try {
    const beginsNow = scope.runId === null && request.after === null;
    const start = await startOf(dependencies, request, beginsNow);
    await sink.begin(beginsNow ? formatPosition({ epoch: start.epoch, seq: start.afterSeq }) : null);
    if (start.reset !== null) await sink.reset(start.reset);
    let afterSeq = start.afterSeq;
    let lastWriteAt = performance.now();
    while (!signal.aborted) {
      news = new AbortController();
      const events = await readEvents(dependencies.database, scope, start.epoch, afterSeq, batch);
      for (const event of events) {
        if (signal.aborted) return;
        if (!wanted(event)) continue;
        await sink.event(event);
        lastWriteAt = performance.now();
      }
      afterSeq = parsePosition(events.at(-1)?.position ?? '')?.seq ?? afterSeq;
      if (events.length === batch) continue;
      const silentMs = performance.now() - lastWriteAt;
      await sleep(Math.max(0, heartbeatEveryMs - silentMs), undefined, { signal: AbortSignal.any([news.signal, signal]) }).catch(() => undefined);
      if (performance.now() - lastWriteAt >= heartbeatEveryMs && !signal.aborted) {
        await sink.beat();
        lastWriteAt = performance.now();
      }
    }
  } finally {
    unwatch();
  }
}

const startOf = ({ database, system }: FeedDependencies, { scope, after }: FeedRequest, beginsNow: boolean): Promise<ResumePoint> =>
  beginsNow ? standNow(database, system, scope.workspaceId) : resumeFrom(database, system, scope, after);
