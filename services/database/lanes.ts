import { AsyncLocalStorage } from 'node:async_hooks';
import type { RenewedPool } from './renewed-pool.ts';
import type { Sql, TransactionSql } from './sql.ts';

/**
 * Connections that carry one transaction at a time, each a pool of one, so that `begin`, the work's first queries, its last ones and `commit` travel
 * without waiting for each other's answers: postgres.js's own `begin` costs a transaction two more round trips. (Its `reserve` would do, but loses a
 * connection for every failed attempt to connect: 3.4.9, `onopen`.)
 */
export class Lanes {
  private readonly all: RenewedPool[];
  /** Used last, taken first: its statements are prepared and its caches warm. */
  private readonly free: RenewedPool[];
  private readonly waiting: ((lane: RenewedPool) => void)[] = [];

  constructor(lanes: RenewedPool[]) {
    this.all = lanes;
    this.free = [...lanes];
  }

  /**
   * A work that asks for a second lane while it holds one is refused: as many of them as there are lanes would wait for each other for ever.
   *
   * `opening` is sent ahead of the work's first query, in the same packet: plain SQL without parameters that begins the transaction.
   */
  async transact<Result>(opening: string, work: (sql: TransactionSql, commit: () => void) => Promise<Result>): Promise<Result> {
    if (within.getStore()?.over === false) throw new Error('A transaction asked for a second connection: read ahead of it, or use its own.');
    const lane = await this.take();
    try {
      // Bound to this pool: what the work still asks for when its connection is lost must not reach another session.
      return await runTransaction(lane.now(), opening, work);
    } finally {
      this.giveBack(lane);
    }
  }

  async ping(): Promise<void> {
    const lane = await this.take();
    try {
      await lane.now()`select 1`;
    } finally {
      this.giveBack(lane);
    }
  }

  async close(graceSeconds: number): Promise<void> {
    await Promise.all(this.all.map((lane) => lane.end(graceSeconds)));
  }

  private take(): RenewedPool | Promise<RenewedPool> {
    const lane = this.free.pop();
    return lane ?? new Promise((resolve) => this.waiting.push(resolve));
  }

  private giveBack(lane: RenewedPool): void {
    const next = this.waiting.shift();
    if (next === undefined) this.free.push(lane);
    else next(lane);
  }
}

/** The transaction that the present code is part of. What it started and left behind outlives it. */
const within = new AsyncLocalStorage<{ over: boolean }>();

async function runTransaction<Result>(lane: Sql, opening: string, work: (sql: TransactionSql, commit: () => void) => Promise<Result>): Promise<Result> {
  const present = { over: false };
  let committing: Promise<Ended> | null = null;
  // What the work does after its end (a branch that nobody waited for) must not reach the next transaction on this lane.
  const sql = new Proxy(lane, {
    apply: (target, self, args) => {
      if (present.over) throw new Error('This transaction is over.');
      return Reflect.apply(target, self, args) as unknown;
    },
  });
  const commit = (): Promise<Ended> => {
    committing ??= endedBy(lane.unsafe('commit').execute());
    return committing;
  };
  const begun = lane.unsafe(opening).execute();
  const session = (): number | undefined => (begun as { state?: { pid?: number } }).state?.pid;
  const [opened, worked] = await Promise.allSettled([
    begun.then(session),
    within.run(present, () => work(sql as unknown as TransactionSql, () => void commit())),
  ]);
  present.over = true;
  if (opened.status === 'rejected' || worked.status === 'rejected') {
    // Sent already, a commit of what failed is a roll-back; and where the connection is gone, so is the transaction.
    const reason = (opened.status === 'rejected' ? opened.reason : worked.status === 'rejected' ? worked.reason : undefined) as Error;
    const { session: last } = await (committing ?? endedBy(lane.unsafe('rollback').execute()));
    // In another session the work's statements had no workspace, and failed for that: whoever may try again must know the true reason.
    throw opened.status === 'fulfilled' && last !== undefined && last !== opened.value ? connectionLost(reason) : reason;
  }
  const ended = await commit();
  if (ended.error !== null) throw ended.error;
  // After a lost connection we may speak to another session.
  if (ended.session !== opened.value) throw connectionLost(undefined);
  // Postgres answers the commit of a transaction in which a statement failed with ROLLBACK.
  if (ended.command !== 'COMMIT') throw new Error('The transaction was rolled back by the database.');
  return worked.value;
}

/** As postgres.js calls it when it notices by itself. */
const connectionLost = (cause: Error | undefined): Error =>
  Object.assign(new Error('The connection was lost in the middle of a transaction.', { cause }), { code: 'CONNECTION_CLOSED' });

interface Ended {
  command: string;
  session: number | undefined;
  error: Error | null;
}

/** Never rejects: it may be waited for late. */
const endedBy = (query: Promise<unknown>): Promise<Ended> =>
  query.then(
    (result) => {
      const { command, state } = result as { command: string; state?: { pid?: number } };
      return { command, session: state?.pid, error: null };
    },
    (error: unknown) => ({ command: '', session: undefined, error: error instanceof Error ? error : new Error(String(error)) }),
  );
