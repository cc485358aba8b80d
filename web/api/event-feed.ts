import { setTimeout as sleep } from 'node:timers/promises';
import type { KosEvent, ModelDelta } from '#schemas/event.ts';
import type { Database, SystemDatabase } from '#services/database/connect.ts';
import type { DeltaHub, DeltaReader } from '#services/deltas/hub.ts';
import type { EventListener } from '#services/events/listener.ts';
import { formatPosition, parsePosition } from '#services/events/position.ts';
import { type EventScope, readEvents, type ResumePoint, resumeFrom, standNow } from '#services/events/reader.ts';
import type { StreamLosses } from './stream-losses.ts';

export interface FeedDependencies {
  database: Database;
  system: SystemDatabase;
  listener: EventListener;
  deltas: DeltaHub;
  losses: StreamLosses;
}

export interface FeedRequest {
  scope: EventScope;
  /** Position seen last. Null: a run's events from its first one, a workspace's from now on. */
  after: string | null;
  signal: AbortSignal;
  /** Whether the reader gets this event: may read it at this moment, and asked for its kind. Absent: all. */
  wanted?: (event: KosEvent) => boolean;
  /** Whether the reader gets the text of model calls as it comes. Absent: no. */
  wantsDeltas?: () => boolean;
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
  /** Text of a model call; no part of the record, so nobody's position. */
  delta(delta: ModelDelta): Promise<void>;
  beat(): Promise<void>;
}

/** Read and held at once, for one client. */
const batch = 200;

/** Events from a position on, until the client goes. Memory is bounded: the next batch is read when the last one was taken. */
export async function feedEvents(sink: EventSink, dependencies: FeedDependencies, request: FeedRequest, heartbeatEveryMs: number): Promise<void> {
  const { scope, signal, wanted = () => true, wantsDeltas } = request;
  let news = new AbortController();
  let mayHaveEvents = true;
  const unwatch = dependencies.listener.watch(scope.runId ?? scope.workspaceId, () => {
    mayHaveEvents = true;
    news.abort();
  });
  const deltas = wantsDeltas === undefined ? null : dependencies.deltas.watch(scope, () => news.abort());
  try {
    const beginsNow = scope.runId === null && request.after === null;
    const start = await startOf(dependencies, request, beginsNow);
    await sink.begin(beginsNow ? formatPosition({ epoch: start.epoch, seq: start.afterSeq }) : null);
    if (start.reset !== null) await sink.reset(start.reset);
    let afterSeq = start.afterSeq;
    let lastWriteAt = performance.now();
    let isCaughtUp = false;
    while (!signal.aborted) {
      news = new AbortController();
      // The end of a text is told of before the end of its step. Who is behind hears first what led to it.
      await deltas?.settled();
      if (isCaughtUp && deltas !== null && (await sendDeltas(sink, deltas, request))) lastWriteAt = performance.now();
      if (mayHaveEvents) {
        mayHaveEvents = false;
        const events = await readEvents(dependencies.database, scope, start.epoch, afterSeq, batch);
        for (const event of events) {
          if (signal.aborted) return;
          if (!wanted(event)) continue;
          await sink.event(event);
          lastWriteAt = performance.now();
        }
        afterSeq = parsePosition(events.at(-1)?.position ?? '')?.seq ?? afterSeq;
        if (events.length === batch) {
          mayHaveEvents = true;
          continue;
        }
        if (deltas !== null && !isCaughtUp) {
          isCaughtUp = true;
          continue;
        }
      }
      const silentMs = performance.now() - lastWriteAt;
      await sleep(Math.max(0, heartbeatEveryMs - silentMs), undefined, { signal: AbortSignal.any([news.signal, signal]) }).catch(() => undefined);
      if (performance.now() - lastWriteAt >= heartbeatEveryMs && !signal.aborted) {
        await sink.beat();
        lastWriteAt = performance.now();
        mayHaveEvents = true;
      }
    }
  } finally {
    unwatch();
    deltas?.close();
  }
}

/** True: there were some. What a reader may not read now is not kept for later. */
async function sendDeltas(sink: EventSink, deltas: DeltaReader, { signal, wantsDeltas }: FeedRequest): Promise<boolean> {
  const news = deltas.take();
  if (wantsDeltas?.() !== true) return false;
  for (const delta of news) {
    if (signal.aborted) break;
    await sink.delta(delta);
  }
  return news.length > 0;
}

const startOf = ({ database, system }: FeedDependencies, { scope, after }: FeedRequest, beginsNow: boolean): Promise<ResumePoint> =>
  beginsNow ? standNow(database, system, scope.workspaceId) : resumeFrom(database, system, scope, after);
