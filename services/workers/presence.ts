import type { Logger } from 'pino';
import type { DatabaseAddress } from '#services/database/address.ts';
import { openPool, type Sql, type TransactionSql } from '#services/database/connect.ts';
import { repeat } from '#services/duties/repeat.ts';
import type { RunWorkflows } from '#services/temporal/run-workflows.ts';

/** Names "a worker of this installation is here" among a database's advisory locks; any two numbers do. */
const presenceLock = { classId: 7_205_016, objectId: 2 };

/** How soon a worker whose connection was lost counts again. */
const renewedEveryMs = 1_000;

/**
 * A worker is here for as long as it holds a lock of its database session: Postgres lets go of it in the moment in which the worker's process is gone,
 * however that came about. Temporal alone cannot tell: a poll that nobody waits for any more looks alive for a minute. `address`: the direct one; locks
 * of a session do not work through a pooler. Returns how to take leave.
 */
export function announceWorker(options: { address: DatabaseAddress; log: Logger }): () => Promise<void> {
  // One connection, which nothing but its loss ends: the pool's own renewal would look like a worker's end.
  const sql = openPool(options.address, { max: 1, applicationName: 'kos-worker-here', forTransactions: true });
  const duty = repeat('presence', options.log, async () => {
    await holdLock(sql);
    return renewedEveryMs;
  });
  return async () => {
    await duty.stop();
    await sql.end({ timeout: 1 });
  };
}

async function holdLock(sql: Sql): Promise<void> {
  const { classId, objectId } = presenceLock;
  await sql`
    select pg_advisory_lock_shared(${classId}, ${objectId})
    where not exists (select 1 from pg_locks where pid = pg_backend_pid() and locktype = 'advisory' and classid = ${classId} and objid = ${objectId})`;
}

/** Workers whose processes are there, as the database knows. */
async function countAnnounced(sql: Sql | TransactionSql): Promise<number> {
  const { classId, objectId } = presenceLock;
  const [row] = await sql<{ workers: number }[]>`
    select count(distinct pid)::int as workers from pg_locks
    where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
      and classid = ${classId} and objid = ${objectId} and granted`;
  return row?.workers ?? 0;
}

/** Workers that are there and poll. Throws when database or Temporal does not answer. */
export async function countWorkers(sql: Sql | TransactionSql, workflows: Pick<RunWorkflows, 'countPollers'>): Promise<number> {
  const [announced, pollers] = await Promise.all([countAnnounced(sql), workflows.countPollers()]);
  return Math.min(announced, pollers);
}
