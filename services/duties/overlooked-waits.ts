import type { TransactionSql } from '#services/database/connect.ts';
import { orderResume, type ReconcilerOptions } from './reconciler.ts';
import { type Duty, repeat } from './repeat.ts';

const everyMs = 30_000;
/** The Signal of a decision arrives within a second: after so long it is sent again. */
const tellAgainAfterSeconds = 20;
/** A workflow that was told again and still waits does not know of the wait: it goes by a history that is older than the database. */
const goOnAfterSeconds = 60;
/** Looked at in one round. */
const atMost = 200;
/** A workflow task may be lost with its worker; one that fails this often does not fit its history. */
const failingFromAttempt = 10;

interface OpenRun {
  runId: string;
  workspaceId: string;
  generation: number;
}

interface OverlookedWait extends OpenRun {
  waitId: string;
  version: number;
  /** By the run's own workflow, not by a window of it. */
  ofRun: boolean;
  sinceSeconds: number;
}

/**
 * A decision is a row and a Signal. Where the Signal was lost on the way (it could not be opened; Temporal's file was put back from an older copy) the run
 * would wait for ever for what has been decided: it is told again, and when that does not help it goes on from Postgres, in its next generation. So it does when the Signal
 * was lost that told of a step's end by hand.
 */
export function startOverlookedWaits(options: ReconcilerOptions): Duty {
  return repeat('overlooked waits', options.log, async () => {
    await mendOverlookedWaits(options);
    return everyMs;
  });
}

export async function mendOverlookedWaits(options: ReconcilerOptions): Promise<void> {
  const overlooked = await overlookedWaits(options);
  const { sql } = options.system;
  const wentOn = new Set<string>();
  for (const wait of overlooked) {
    const { workspaceId, runId, waitId, version } = wait;
    if (wentOn.has(runId)) continue;
    if (wait.ofRun && wait.sinceSeconds >= goOnAfterSeconds && (await goOnFromPostgres(options, wait))) wentOn.add(runId);
    else
      await sql`insert into kos.outbox (workspace_id, run_id, kind, payload) values (${workspaceId}, ${runId}, 'decision', ${sql.json({ waitId, version })})`;
  }
  for (const run of await runsWithNothingToWaitFor(options)) await goOnFromPostgres(options, run);
}

/** A person ended what was waited for, some time ago, and nothing else is left that could move the run: where its workflow rests, it has not heard. */
async function runsWithNothingToWaitFor({ system: { sql } }: ReconcilerOptions): Promise<OpenRun[]> {
  return await sql<OpenRun[]>`
    select r.id as "runId", r.workspace_id as "workspaceId", r.generation from kos.runs r
    where r.status in ('running', 'waiting') and r.paused_at is null
      and exists (select from kos.steps s where s.run_id = r.id and s.metadata ? 'byHand')
      and not exists (select from kos.steps s where s.run_id = r.id
        and (s.status in ('running', 'waiting', 'retrying', 'uncertain') or s.finished_at > clock_timestamp() - make_interval(secs => ${goOnAfterSeconds})))
      and not exists (select from kos.waits w where w.run_id = r.id and w.status = 'open')
      and not exists (select from kos.outbox o where o.run_id = r.id)
    order by r.id limit ${atMost}`;
}

/** Of each step that waits the newest wait, where that has ended some time ago and nothing is on its way. */
async function overlookedWaits({ system: { sql } }: ReconcilerOptions): Promise<OverlookedWait[]> {
  return await sql<OverlookedWait[]>`
    select r.id as "runId", r.workspace_id as "workspaceId", r.generation, w.id as "waitId", w.version, w.told_to is null as "ofRun",
      extract(epoch from clock_timestamp() - w.closed_at)::float8 as "sinceSeconds"
    from kos.runs r join kos.steps s on s.run_id = r.id and s.status = 'waiting'
    join lateral (select * from kos.waits where run_id = s.run_id and step_path = s.path order by opened_at desc, id desc limit 1) w on true
    where r.status in ('running', 'waiting') and r.paused_at is null and w.status in ('settled', 'expired')
      and w.closed_at < clock_timestamp() - make_interval(secs => ${tellAgainAfterSeconds})
      and not exists (select from kos.outbox o where o.run_id = r.id)
    order by w.closed_at limit ${atMost}`;
}

/** False: its workflow works, or a worker has yet to take it up. */
async function goOnFromPostgres({ system, workflows, log }: ReconcilerOptions, { runId, workspaceId, generation }: OpenRun): Promise<boolean> {
  const execution = await workflows.describe(runId);
  if (execution?.status !== 'running' || execution.activityAttempt > 0) return false;
  if (execution.workflowTaskAttempt > 0 && execution.workflowTaskAttempt < failingFromAttempt) return false;
  return await system.sql.begin(async (sql) => {
    if (!(await isStillOpen(sql, runId, generation))) return false;
    log.warn({ runId }, 'overlooked waits: what the run waits for was decided, and its workflow does not hear of it; it goes on from Postgres');
    // In this order: the next generation starts once the execution of this one is gone.
    const payload = { generation, chain: execution.chain, reason: 'The run goes on from Postgres in its next generation.' };
    await sql`insert into kos.outbox (workspace_id, run_id, kind, payload) values (${workspaceId}, ${runId}, 'terminate', ${sql.json(payload)})`;
    await orderResume(sql, { id: runId, workspaceId }, 'its workflow overlooked a decision');
    return true;
  });
}

async function isStillOpen(sql: TransactionSql, runId: string, generation: number): Promise<boolean> {
  const rows = await sql`
    select id from kos.runs where id = ${runId} and generation = ${generation} and status in ('running', 'waiting') and paused_at is null for update`;
  return rows.length > 0;
}
