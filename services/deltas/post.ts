import type { Logger } from 'pino';
import type { Database, TransactionSql } from '#services/database/connect.ts';
import { deltaChannel, formatDeltaNotice } from './notice.ts';

/** A model call of a step. */
export interface CallPlace {
  workspaceId: string;
  runId: string;
  stepPath: string;
  attempt: number;
  /** The fence that the step was taken with. */
  call: number;
}

/** Where a model call puts its text as it comes. */
export interface CallText {
  add(text: string): void;
  /** Resolves when all of it can be read, or cannot be written: the step does not fail for that, its output has the whole. */
  end(): Promise<void>;
}

/** Takes text of model calls to whoever watches their runs, through Postgres, whichever API process they are connected to. */
export interface DeltaPost {
  open(place: CallPlace): CallText;
  /** Removes what is left of calls that have ended. */
  close(): Promise<void>;
}

/** One batch for all calls of a workspace, at most so often. */
const batchEveryMs = 50;
/** Of one call; whoever wants more has it in the step's output. */
const mostCharacters = 200_000;
/** Who watches has read the end of a text by then. */
const keptAfterEndMs = 5_000;

/** After a failure, as long as the database does not answer. */
const pauseAfterFailureMs = 1_000;

interface Call extends CallPlace {
  /** Characters that are written. */
  place: number;
  pending: string;
  state: 'open' | 'ending' | 'ended';
  /** By `performance.now()`, once it is `ended`. */
  endedAt: number;
}

/** Holds at most `mostCharacters` of each call that is under way. */
export function createDeltaPost({ database, log }: { database: Database; log: Logger }): DeltaPost {
  const calls = new Set<Call>();
  let writing: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | null = null;
  let pausedUntil = 0;

  const writeOf = async (workspaceId: string, group: readonly Call[], now: number): Promise<void> => {
    const batch = group.filter(hasNews).map((call) => ({ call, text: call.pending, ended: call.state === 'ending' }));
    const old = group.filter((call) => isOld(call, now));
    await database.inWorkspace(workspaceId, async ({ sql }) => {
      if (batch.length > 0) await insertBatch(sql, workspaceId, batch);
      if (old.length > 0) await removeCalls(sql, old);
    });
    for (const { call, text, ended } of batch) {
      call.place += text.length;
      call.pending = call.pending.slice(text.length);
      if (ended) Object.assign(call, { state: 'ended', endedAt: performance.now() });
    }
    for (const call of old) calls.delete(call);
  };

  const writeDue = async (): Promise<void> => {
    const now = performance.now();
    if (now < pausedUntil) return;
    const due = [...calls].filter((call) => hasNews(call) || isOld(call, now));
    for (const [workspaceId, group] of Map.groupBy(due, (call) => call.workspaceId)) {
      try {
        await writeOf(workspaceId, group, now);
      } catch (error) {
        pausedUntil = performance.now() + pauseAfterFailureMs;
        log.warn({ error, workspaceId, calls: group.length }, 'text of model calls could not be passed on as it came: it waits; their steps’ outputs have it');
      }
    }
  };

  const write = (): Promise<void> => (writing = writing.then(writeDue));

  let ticking = false;
  const tick = (): void => {
    if (ticking) return;
    ticking = true;
    void write().then(() => {
      ticking = false;
      if (calls.size > 0 || timer === null) return;
      clearInterval(timer);
      timer = null;
    });
  };

  const follow = (call: Call): void => {
    calls.add(call);
    timer ??= setInterval(tick, batchEveryMs);
    timer.unref();
  };

  return {
    open(place) {
      const call: Call = { ...place, place: 0, pending: '', state: 'open', endedAt: Number.POSITIVE_INFINITY };
      return {
        add(text) {
          const room = Math.max(0, mostCharacters - call.place - call.pending.length);
          // Postgres has no text with a zero in it.
          call.pending += text.slice(0, room).replaceAll('\0', '\uFFFD');
          follow(call);
        },
        async end() {
          await writing;
          // What was said within one batch is in the output at once.
          if (call.place === 0) return void calls.delete(call);
          call.state = 'ending';
          await write();
        },
      };
    },
    async close() {
      if (timer !== null) clearInterval(timer);
      for (const call of calls) call.endedAt = Number.NEGATIVE_INFINITY;
      await write();
    },
  };
}

const hasNews = (call: Call): boolean => call.state === 'ending' || (call.state === 'open' && call.pending !== '');
const isOld = (call: Call, now: number): boolean => call.state === 'ended' && now - call.endedAt > keptAfterEndMs;

interface Piece {
  call: Call;
  text: string;
  ended: boolean;
}

/** One statement and one notice, whatever the number of calls. */
async function insertBatch(sql: TransactionSql, workspaceId: string, batch: readonly Piece[]): Promise<void> {
  const rows = batch.map(({ call, text, ended }) => ({
    workspace_id: workspaceId,
    run_id: call.runId,
    step_path: call.stepPath,
    attempt: call.attempt,
    call: call.call,
    place: call.place,
    until: call.place + text.length,
    text,
    ended,
  }));
  // A batch of which it is not known whether it was written is written again, with what came meanwhile.
  await sql`
    insert into kos.model_deltas ${sql(rows)}
    on conflict (workspace_id, run_id, step_path, call, place) do update set text = excluded.text, until = excluded.until, ended = excluded.ended`;
  await sql`select pg_notify(${deltaChannel}, ${formatDeltaNotice(workspaceId, new Set(batch.map(({ call }) => call.runId)))})`;
}

async function removeCalls(sql: TransactionSql, calls: readonly Call[]): Promise<void> {
  const keys = calls.map(({ runId, stepPath, call }) => ({ run: runId, path: stepPath, call }));
  await sql`
    delete from kos.model_deltas d using jsonb_to_recordset(${sql.json(keys)}) as gone(run text, path text, call bigint)
    where d.run_id = gone.run and d.step_path = gone.path and d.call = gone.call`;
}
