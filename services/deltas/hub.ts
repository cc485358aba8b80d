import type { Logger } from 'pino';
import type { ModelDelta } from '#schemas/event.ts';
import type { Database } from '#services/database/connect.ts';
import type { EventListener } from '#services/events/listener.ts';
import type { EventScope } from '#services/events/reader.ts';
import { deltaChannel, type DeltaNotice, parseDeltaNotice } from './notice.ts';
import { type DeltaRow, type KnownCall, readDeltas } from './read.ts';

/** One client's view of the text that model calls of a run or a workspace bring. */
export interface DeltaReader {
  /** Resolves when what was told of before this call has been read. */
  settled(): Promise<void>;
  /** What has come since it was asked last; of a call that was under way before, the whole text so far. */
  take(): ModelDelta[];
  close(): void;
}

/** Reads text of model calls once for all clients of this process. */
export interface DeltaHub {
  /** `wake` is called when there is something to take. */
  watch(scope: EventScope, wake: () => void): DeltaReader;
  /** Characters that are held. */
  held(): number;
}

/** Held for all calls together; beyond it the oldest calls are let go, of which clients then get no more. */
const mostCharactersHeld = 20_000_000;
/** The end of a text is there so long for a client that is slow to take it. */
const keptAfterEndMs = 5_000;
/** So long it is remembered that a call has ended: by then its rows are gone. */
const rememberedMs = 60_000;

interface Call {
  runId: string;
  workspaceId: string;
  stepPath: string;
  attempt: number;
  call: number;
  text: string;
  /** Characters that were read, held still or not. */
  length: number;
  at: Date;
  /** By `performance.now()`; null: it goes on. */
  endedAt: number | null;
  /** Nobody gets any more of it. */
  letGo: boolean;
}

interface Watcher {
  scope: EventScope;
  wake: () => void;
}

/** What is to be read of a workspace: everything (null), or these runs. */
type RunIds = Set<string> | null;

interface Wanted {
  runIds: RunIds;
  /** Of them, those that somebody has begun to watch: what has ended there is old. */
  begun: RunIds;
}

const nothing: Wanted = { runIds: new Set(), begun: new Set() };
const both = (left: RunIds, right: RunIds): RunIds => (left === null || right === null ? null : left.union(right));
const includes = (runIds: RunIds, runId: string): boolean => runIds === null || runIds.has(runId);

const runIdsOf = ({ runId }: EventScope): RunIds => (runId === null ? null : new Set([runId]));

export async function startDeltaHub(means: { database: Database; listener: EventListener; log: Logger }): Promise<DeltaHub> {
  const { database, listener, log } = means;
  const watchers = createWatchers();
  const texts = createHeldTexts(watchers.isWatched);
  let wanted = new Map<string, Wanted>();
  /** What is being read, and what waits for that. */
  let now: Promise<void> | undefined;
  let next: Promise<void> | undefined;

  const readOf = async (workspaceId: string, { runIds, begun }: Wanted): Promise<void> => {
    try {
      const rows = await readDeltas(database, workspaceId, runIds === null ? null : [...runIds], texts.known(runIds));
      for (const row of rows) texts.takeIn(workspaceId, row, includes(begun, row.runId));
      watchers.wake(workspaceId, new Set(rows.map(({ runId }) => runId)));
    } catch (error) {
      log.warn({ error, workspaceId }, 'text of model calls could not be read as it came; it is in their steps’ outputs');
    }
  };

  const readWanted = async (): Promise<void> => {
    const batch = wanted;
    wanted = new Map();
    now = next;
    next = undefined;
    for (const [workspaceId, one] of batch) await readOf(workspaceId, one);
    texts.tidy();
    if (next === undefined) now = undefined;
  };

  const want = (workspaceId: string, more: Wanted): void => {
    const before = wanted.get(workspaceId) ?? nothing;
    wanted.set(workspaceId, { runIds: both(before.runIds, more.runIds), begun: both(before.begun, more.begun) });
    next ??= (now ?? Promise.resolve()).then(readWanted);
  };

  await listener.hear(deltaChannel, {
    told: (text) => {
      const notice = parseDeltaNotice(text);
      if (notice === null) return;
      const runIds = watchers.among(notice);
      if (runIds === null || runIds.size > 0) want(notice.workspaceId, { runIds, begun: nothing.begun });
    },
    // What was told meanwhile was not heard.
    again: () => watchers.scopes().forEach((scope) => want(scope.workspaceId, { runIds: runIdsOf(scope), begun: nothing.begun })),
  });

  return {
    watch(scope, wake) {
      const leave = watchers.add({ scope, wake });
      const close = (): void => {
        leave();
        texts.tidy();
      };
      want(scope.workspaceId, { runIds: runIdsOf(scope), begun: runIdsOf(scope) });
      return readerOf({ calls: () => texts.in(scope), settled: async () => next ?? now, close });
    },
    held: texts.held,
  };
}

/** Who watches, by run or workspace. */
function createWatchers() {
  const byId = new Map<string, Set<Watcher>>();
  const scopes = (): EventScope[] => [...byId.values()].flatMap((watchers) => [...watchers].map(({ scope }) => scope));
  const isWatched = (runId: string, workspaceId: string): boolean =>
    byId.has(workspaceId) || [...(byId.get(runId) ?? [])].some(({ scope }) => scope.workspaceId === workspaceId);
  return {
    scopes,
    isWatched,
    add(watcher: Watcher): () => void {
      const id = watcher.scope.runId ?? watcher.scope.workspaceId;
      const watchers = byId.get(id) ?? new Set();
      byId.set(id, watchers.add(watcher));
      return () => {
        watchers.delete(watcher);
        if (watchers.size === 0 && byId.get(id) === watchers) byId.delete(id);
      };
    },
    /** Those runs of a notice that somebody here watches. */
    among({ workspaceId, runIds }: DeltaNotice): RunIds {
      if (runIds !== null) return new Set(runIds.filter((runId) => isWatched(runId, workspaceId)));
      return scopes()
        .filter((scope) => scope.workspaceId === workspaceId)
        .reduce<RunIds>((all, scope) => both(all, runIdsOf(scope)), new Set());
    },
    wake(workspaceId: string, runIds: ReadonlySet<string>): void {
      if (runIds.size === 0) return;
      for (const id of [workspaceId, ...runIds]) for (const { scope, wake } of byId.get(id) ?? []) if (scope.workspaceId === workspaceId) wake();
    },
  };
}

/** The text of calls under way in what is watched, once for all who watch, within a bound. */
function createHeldTexts(isWatched: (runId: string, workspaceId: string) => boolean) {
  /** By run, then by step and call. */
  const runs = new Map<string, Map<string, Call>>();
  let held = 0;

  const release = (call: Call): void => {
    held -= call.text.length;
    call.text = '';
    call.letGo = true;
  };

  const callOf = (workspaceId: string, row: DeltaRow, isOld: boolean): Call => {
    const calls = runs.get(row.runId) ?? new Map<string, Call>();
    runs.set(row.runId, calls);
    const name = `${row.stepPath} ${row.call}`;
    const { runId, stepPath, attempt, at } = row;
    const call = calls.get(name) ?? {
      runId,
      workspaceId,
      stepPath,
      attempt,
      call: row.call,
      text: '',
      length: 0,
      at,
      endedAt: null,
      letGo: isOld && row.callEnded,
    };
    calls.set(name, call);
    return call;
  };

  return {
    held: () => held,
    /** `isOld`: what is found ended there had ended before anybody watched. */
    takeIn(workspaceId: string, row: DeltaRow, isOld: boolean): void {
      const call = callOf(workspaceId, row, isOld);
      const news = row.text.slice(Math.max(0, call.length - row.place));
      call.length += news.length;
      call.at = row.at;
      if (!call.letGo) {
        call.text += news;
        held += news.length;
      }
      if (!row.ended || call.endedAt !== null) return;
      call.endedAt = performance.now();
    },
    known: (runIds: RunIds): KnownCall[] =>
      [...(runIds ?? runs.keys())].flatMap((runId) =>
        [...(runs.get(runId)?.values() ?? [])].map(({ stepPath, call, length, endedAt }) => ({
          run: runId,
          path: stepPath,
          call,
          length,
          ended: endedAt !== null,
        })),
      ),
    in({ workspaceId, runId }: EventScope): Call[] {
      const found = runId === null ? [...runs.values()] : [runs.get(runId) ?? new Map<string, Call>()];
      return found.flatMap((calls) => [...calls.values()]).filter((call) => call.workspaceId === workspaceId);
    },
    /** Forgets what nobody watches and what ended long ago, and lets go of what is too much. */
    tidy(): void {
      const now = performance.now();
      for (const [runId, calls] of runs) {
        for (const [name, call] of calls) {
          const endedForMs = call.endedAt === null ? 0 : now - call.endedAt;
          if (endedForMs > keptAfterEndMs) release(call);
          if (endedForMs <= rememberedMs && isWatched(runId, call.workspaceId)) continue;
          release(call);
          calls.delete(name);
        }
        if (calls.size === 0) runs.delete(runId);
      }
      for (const call of [...runs.values()].flatMap((calls) => [...calls.values()])) {
        if (held <= mostCharactersHeld) return;
        release(call);
      }
    },
  };
}

interface ReaderMeans {
  calls: () => Call[];
  settled: () => Promise<void>;
  close: () => void;
}

/** Holds a number for each call that it has sent something of, as long as the call is held. */
function readerOf({ calls, settled, close }: ReaderMeans): DeltaReader {
  const since = performance.now();
  let sent = new Map<Call, number>();

  const take = (): ModelDelta[] => {
    const deltas: ModelDelta[] = [];
    const now = new Map<Call, number>();
    for (const call of calls()) {
      // Ended before this client came: its step's end is among the events.
      if (call.letGo || (call.endedAt !== null && call.endedAt < since)) continue;
      const from = sent.get(call) ?? 0;
      if (call.text.length > from) deltas.push(deltaOf(call, from));
      now.set(call, call.text.length);
    }
    sent = now;
    return deltas;
  };
  return { settled, take, close };
}

const deltaOf = ({ workspaceId, runId, at, stepPath, attempt, call, text }: Call, from: number): ModelDelta => ({
  type: 'model.delta',
  workspaceId,
  runId,
  at: at.toISOString(),
  data: { stepPath, attempt, call, from, text: text.slice(from) },
});
