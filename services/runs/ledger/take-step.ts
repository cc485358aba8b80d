import type { Claim } from '#core/engine/claim.ts';
import type { Outcome } from '#core/engine/outcome.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { StepStatus } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { type EventRecord, recordEvents } from '#services/records/record.ts';

export interface StepPlace {
  path: string;
  /** Position in the plan. */
  step: number;
  /** Index of the item; null: not an item. */
  item: number | null;
  /** Number of the round of a `repeat`; absent: not a round. */
  iteration?: number;
  /** Path of the step that it undoes; absent: it is no undo. */
  undoes?: string;
  kind: string;
}

/** A line of an artifact: its first byte and how many it has, without its end. */
export interface Line {
  at: number;
  bytes: number;
}

/** The right to write a step's outcome, until somebody takes a newer one. */
export interface TakenStep extends StepPlace {
  taken: true;
  fence: number;
  attempt: number;
  /** The item's value; null where it is a line of an artifact. */
  input: Json;
  /** Of an item that is a line of an artifact: where it stands there, in bytes. */
  line: Line | null;
  /** A lost worker left it in the middle of its work. */
  wasRunning: boolean;
  /** Since its first attempt began, by the database's clock, ms. */
  elapsedMs: number;
}

export type ItemOfStep = Pick<TakenStep, 'item' | 'input' | 'line'>;

/** What an item is, without taking it. */
export async function readItem(sql: TransactionSql, claim: Claim, { path, item }: StepPlace): Promise<ItemOfStep> {
  const [row] = await sql<Pick<TakenStep, 'input' | 'line'>[]>`
    select input, metadata->'line' as line from kos.steps where run_id = ${claim.runId} and path = ${path}`;
  return { item, input: row?.input ?? null, line: row?.line ?? null };
}

/** The step has ended already: what it ended as. */
export interface EndedStep {
  taken: false;
  outcome: Outcome;
}

const endedStatuses: readonly StepStatus[] = ['succeeded', 'failed', 'skipped', 'cancelled', 'uncertain', 'compensated'];

/** Its failure lets dependants go on: decided when it failed, and kept in its row. */
export const isTolerated = (sql: TransactionSql) => sql`coalesce(metadata->>'tolerated' = 'true', false)`;

/** The letter by which the workflow knows an ended step. */
export function outcomeOf(status: StepStatus, tolerated: boolean): Outcome | null {
  switch (status) {
    case 'succeeded':
      return 's';
    case 'skipped':
      return 'k';
    case 'failed':
      return tolerated ? 't' : 'f';
    case 'uncertain':
      return 'u';
    case 'cancelled':
    case 'compensated':
      return 'c';
    case 'pending':
    case 'running':
    case 'waiting':
    case 'retrying':
      return null;
  }
}

/**
 * Takes a step: raises its fence, so that whoever took it before can write no more. An attempt is counted only when the step was not being
 * worked on; a step that a lost worker left `running` goes on in the same attempt, and so does one that waited for what kOS itself lacks. (A query inside `returning` sees the row as it was.)
 */
export async function takeStep(sql: TransactionSql, claim: Claim, place: StepPlace): Promise<TakenStep | EndedStep> {
  const [row] = await sql<Pick<TakenStep, 'fence' | 'attempt' | 'input' | 'line' | 'wasRunning' | 'elapsedMs'>[]>`
    insert into kos.steps as s (workspace_id, run_id, path, step, item, iteration, undoes, kind, status, attempt, fence, started_at)
    values (${claim.workspaceId}, ${claim.runId}, ${place.path}, ${place.step}, ${place.item}, ${place.iteration ?? null}, ${place.undoes ?? null}, ${place.kind}, 'running', 1, 1,
      clock_timestamp())
    on conflict (run_id, path) do update set
      fence = s.fence + 1, status = 'running', waiting_for = null, retry_at = null,
      attempt = s.attempt + case when s.status in ('pending', 'retrying') and not s.metadata ? 'uncounted' then 1 else 0 end,
      metadata = s.metadata - 'uncounted',
      started_at = coalesce(s.started_at, clock_timestamp())
    where s.status not in ${sql(endedStatuses)}
    returning fence, attempt, input, metadata->'line' as line, (extract(epoch from clock_timestamp() - started_at) * 1000)::float8 as "elapsedMs",
      coalesce((select before.status = 'running' from kos.steps before where before.run_id = s.run_id and before.path = s.path), false) as "wasRunning"`;
  if (row !== undefined) return { taken: true, ...place, ...row };
  const [ended] = await sql<{ status: StepStatus; tolerated: boolean }[]>`
    select status, ${isTolerated(sql)} as tolerated from kos.steps where run_id = ${claim.runId} and path = ${place.path}`;
  if (ended === undefined) throw new Error(`The step ${place.path} of ${claim.runId} can be neither taken nor read.`);
  return { taken: false, outcome: outcomeOf(ended.status, ended.tolerated) ?? 'c' };
}

/** As if it had not been begun since the retry of its run: it is taken again for the same attempt. */
export async function setBack(sql: TransactionSql, claim: Claim, { path, fence }: TakenStep): Promise<void> {
  await sql`
    update kos.steps set status = 'pending', attempt = attempt - 1, fence = fence + 1, waiting_for = null
    where run_id = ${claim.runId} and path = ${path} and fence = ${fence}`;
}

/** Since the step's first attempt began, by the database's clock, ms. */
export async function elapsedMs(sql: TransactionSql, claim: Claim, step: StepPlace): Promise<number> {
  const [row] = await sql<{ elapsedMs: number }[]>`
    select (extract(epoch from clock_timestamp() - started_at) * 1000)::float8 as "elapsedMs" from kos.steps where run_id = ${claim.runId} and path = ${step.path}`;
  return row?.elapsedMs ?? 0;
}

export const startEvent = ({ workspaceId, runId }: Claim, step: TakenStep, more: JsonObject = {}): EventRecord => ({
  workspaceId,
  runId,
  type: 'step.started',
  data: { stepPath: step.path, kind: step.kind, attempt: step.attempt, ...more },
});

export async function recordStarted(sql: TransactionSql, claim: Claim, step: TakenStep, more: JsonObject = {}): Promise<void> {
  await recordEvents(sql, [startEvent(claim, step, more)]);
}
