import type { Claim } from '#core/engine/claim.ts';
import { undoableSteps } from '#core/engine/compensation.ts';
import type { Json } from '#schemas/json.ts';
import type { Ending, OutcomeError, StepStatus } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';

/** A step whose effect is to be taken back. */
export interface Undoable {
  path: string;
  step: number;
  item: number | null;
  iteration: number | null;
  /** Uncertain: whether there is something to take back, a person must say. */
  status: 'succeeded' | 'uncertain';
  error: OutcomeError | null;
  /** Of its undo; null: that has not begun. */
  undoStatus: StepStatus | null;
  undoError: OutcomeError | null;
  /** Until the next attempt at it, by the database's clock, ms; null: it waits for none. */
  undoLeftMs: number | null;
}

/** What did the work itself: neither what items or rounds are joined into, nor what another run did. */
const didWork = (sql: TransactionSql) => sql`s.undoes is null and not s.metadata ?| array['items', 'rounds', 'carriedFrom']`;

const listOf = (sql: TransactionSql, steps: readonly number[]) => sql`string_to_array(${steps.join(',')}, ',')::int[]`;

/** An undo that ended otherwise than well is not tried again by itself. */
const openOrNone = (sql: TransactionSql) => sql`(u.status is null or u.status in ('pending', 'running', 'retrying', 'uncertain'))`;

/**
 * The next to be undone, in the reverse of the order in which they ended. `steps`: those that have an undo, in an order in which they could have run: of two
 * that ended in the same millisecond it says which was later.
 */
export async function nextUndoables(sql: TransactionSql, runId: string, steps: readonly number[], limit: number): Promise<Undoable[]> {
  return await sql<Undoable[]>`
    select s.path, s.step, s.item, s.iteration, s.status, s.error, u.status as "undoStatus", u.error as "undoError",
      (extract(epoch from u.retry_at - clock_timestamp()) * 1000)::float8 as "undoLeftMs"
    from kos.steps s left join kos.steps u on u.run_id = s.run_id and u.path = s.path || '~undo'
    where s.run_id = ${runId} and s.step = any(${listOf(sql, steps)}) and s.status in ('succeeded', 'uncertain') and ${didWork(sql)} and ${openOrNone(sql)}
    order by s.finished_at desc, array_position(${listOf(sql, steps)}, s.step) desc, s.iteration desc, s.item desc limit ${limit}`;
}

/** Of a run that has ended and went back: a retry finds something to undo. */
export async function isUndoLeft(sql: TransactionSql, runId: string): Promise<boolean> {
  const [failed] = await sql`select from kos.steps where run_id = ${runId} and undoes is not null and status in ('failed', 'cancelled') limit 1`;
  return failed !== undefined || (await nextUndoables(sql, runId, await readUndoableSteps(sql, runId), 1)).length > 0;
}

export async function readUndoableSteps(sql: TransactionSql, runId: string): Promise<number[]> {
  const [row] = await sql<{ shape: PlanShape }[]>`
    select v.shape from kos.runs r join kos.plan_versions v on v.workspace_id = r.workspace_id and v.name = r.plan_name and v.version = r.plan_version where r.id = ${runId}`;
  return row === undefined ? [] : undoableSteps(row.shape);
}

/** What a step has put out. */
export async function readOutput(sql: TransactionSql, runId: string, path: string): Promise<Json> {
  const [row] = await sql<{ output: Json }[]>`
    select coalesce(o.value, s.output) as output from kos.steps s left join kos.outputs o on o.id = s.output_id where s.run_id = ${runId} and s.path = ${path}`;
  return row?.output ?? null;
}

/** Its effect was taken back, in the transaction in which its undo ends well. */
export async function markCompensated(sql: TransactionSql, claim: Pick<Claim, 'workspaceId' | 'runId'>, paths: readonly string[]): Promise<void> {
  const { workspaceId, runId } = claim;
  const marked = await sql<{ path: string; kind: string }[]>`
    update kos.steps set status = 'compensated', fence = fence + 1 where run_id = ${runId} and path in ${sql([...paths])} and status = 'succeeded' returning path, kind`;
  await recordEvents(
    sql,
    marked.map(({ path, kind }) => ({ workspaceId, runId, type: 'step.compensated', data: { stepPath: path, kind } })),
  );
}

/** Steps that ended well and of which every item and round that did so was undone since: nothing is left of them. */
export async function findEmptied(sql: TransactionSql, runId: string, steps: readonly number[]): Promise<string[]> {
  const within = sql`s.run_id = whole.run_id and s.step = whole.step and (whole.item is null or s.item = whole.item) and ${didWork(sql)}`;
  const rows = await sql<{ path: string }[]>`
    select path from kos.steps whole
    where run_id = ${runId} and step = any(${listOf(sql, steps)}) and undoes is null and status = 'succeeded' and metadata ?| array['items', 'rounds'] and not metadata ? 'carriedFrom'
      and exists (select from kos.steps s where ${within} and s.status = 'compensated') and not exists (select from kos.steps s where ${within} and s.status = 'succeeded')`;
  return rows.map(({ path }) => path);
}

export interface UndoOrders {
  /** Null: it has not begun to undo. */
  ending: Ending | null;
  /** Somebody has cancelled the run and wants what it did to stay. */
  leave: boolean;
}

export async function readUndoOrders(sql: TransactionSql, runId: string): Promise<UndoOrders> {
  const [row] = await sql<UndoOrders[]>`select ending, cancel_requested_at is not null and not undo_on_cancel as leave from kos.runs where id = ${runId}`;
  return row ?? { ending: null, leave: false };
}

/** From here on the run only goes back. */
export async function recordCompensating(sql: TransactionSql, claim: Claim, ending: Ending, first: boolean): Promise<void> {
  const { workspaceId, runId } = claim;
  await sql`update kos.runs set ending = ${ending} where id = ${runId}`;
  if (!first) return;
  await recordEvents(sql, [{ workspaceId, runId, type: 'run.compensating', data: { ending } }]);
  await recordAudit(sql, [{ workspaceId, actor: 'kos', action: 'run.compensate', subject: runId, data: { ending } }]);
}

/** What is to be said of a run's undos when it ends. */
export interface UndoTally {
  undone: number;
  /** Undos that did not succeed, and the first of them. */
  failed: number;
  failedFirst: { path: string; code: string; message: string }[];
  /** Steps whose effect stays, since somebody wants it so. */
  left: number;
  /** Steps that did not succeed, and may have had their effect all the same; and the first of them. */
  unknown: number;
  unknownFirst: string[];
}

/** So many are named; the others stand in their rows. */
const namedAtMost = 5;

export async function tallyUndos(sql: TransactionSql, runId: string, steps: readonly number[]): Promise<UndoTally> {
  const failed = sql`s.status = 'succeeded' and u.status = 'failed'`;
  const left = sql`s.status = 'succeeded' and u.status is distinct from 'failed'`;
  const unknown = sql`s.status in ('failed', 'cancelled', 'uncertain') and e.status in ('intended', 'uncertain')`;
  const from = sql`
    from kos.steps s left join kos.steps u on u.run_id = s.run_id and u.path = s.path || '~undo' left join kos.effects e on e.key = s.run_id || '/' || s.path
    where s.run_id = ${runId} and s.step = any(${listOf(sql, steps)}) and ${didWork(sql)}`;
  const [counts] = await sql<Pick<UndoTally, 'undone' | 'failed' | 'left' | 'unknown'>[]>`
    select count(*) filter (where s.status = 'compensated')::int as undone, count(*) filter (where ${failed})::int as failed,
      count(*) filter (where ${left})::int as left, count(*) filter (where ${unknown})::int as unknown ${from}`;
  const named = await sql<{ path: string; undo: boolean; code: string | null; message: string | null }[]>`
    (select u.path, true as undo, u.error->>'code' as code, u.error->>'message' as message ${from} and ${failed} order by u.finished_at, u.path limit ${namedAtMost})
    union all (select s.path, false, null, null ${from} and ${unknown} order by s.finished_at, s.path limit ${namedAtMost})`;
  return {
    ...(counts ?? { undone: 0, failed: 0, left: 0, unknown: 0 }),
    failedFirst: named.filter(({ undo }) => undo).map(({ path, code, message }) => ({ path, code: code ?? 'undo_failed', message: message ?? '' })),
    unknownFirst: named.filter(({ undo }) => !undo).map(({ path }) => path),
  };
}
