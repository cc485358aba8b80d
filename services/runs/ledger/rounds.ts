import type { Claim } from '#core/engine/claim.ts';
import type { Json } from '#schemas/json.ts';
import type { OutcomeError, StepStatus, WaitingFor } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { StaleWriter } from './record-outcome.ts';
import type { StepPlace, TakenStep } from './take-step.ts';

export interface RoundRow {
  iteration: number;
  status: StepStatus;
  output: Json;
  error: OutcomeError | null;
  /** Until its next attempt, by the database's clock, ms; null: it waits for none. */
  leftMs: number | null;
  /** Since it ended, by the database's clock, ms; null: it has not. */
  endedMsAgo: number | null;
}

const ofPlace = (sql: TransactionSql, { runId }: Claim, { step, item }: StepPlace) =>
  sql`s.run_id = ${runId} and s.step = ${step} and ${item === null ? sql`s.item is null` : sql`s.item = ${item}`} and s.iteration is not null and s.undoes is null`;

/** The last two rounds of a step (or item) that repeats, the newest first. */
export async function latestRounds(sql: TransactionSql, claim: Claim, place: StepPlace): Promise<RoundRow[]> {
  return await sql<RoundRow[]>`
    select s.iteration, s.status, coalesce(o.value, s.output) as output, s.error, (extract(epoch from s.retry_at - clock_timestamp()) * 1000)::float8 as "leftMs",
      (extract(epoch from clock_timestamp() - s.finished_at) * 1000)::float8 as "endedMsAgo"
    from kos.steps s left join kos.outputs o on o.id = s.output_id
    where ${ofPlace(sql, claim, place)} order by s.iteration desc limit 2`;
}

export interface RepeatingRow {
  status: StepStatus;
  /** Until the next round, by the database's clock, ms; null: it is not waited for. */
  leftMs: number | null;
  /** Rounds that do not count: somebody has retried the run after they were not enough. */
  boundFrom: number;
}

/** The row of the step (or item) itself, before it is taken. Null: it has not begun. */
export async function readRepeating(sql: TransactionSql, claim: Claim, { path }: StepPlace): Promise<RepeatingRow | null> {
  const [row] = await sql<RepeatingRow[]>`
    select status, (extract(epoch from retry_at - clock_timestamp()) * 1000)::float8 as "leftMs", coalesce((metadata->>'boundFrom')::int, 0) as "boundFrom"
    from kos.steps where run_id = ${claim.runId} and path = ${path}`;
  return row ?? null;
}

/** Whoever took it since runs its rounds. */
export async function assertTaken(sql: TransactionSql, claim: Claim, step: TakenStep): Promise<void> {
  const [row] = await sql<{ fence: number }[]>`select fence from kos.steps where run_id = ${claim.runId} and path = ${step.path}`;
  if (row?.fence !== step.fence) throw new StaleWriter(step);
}

/** Nothing is done until `inMs` have passed; `describe` says so, given that instant. */
export async function pauseRepeating(
  sql: TransactionSql,
  claim: Claim,
  step: TakenStep,
  inMs: number,
  describe: (until: string) => WaitingFor,
): Promise<WaitingFor> {
  const [row] = await sql<{ retryAt: Date }[]>`
    update kos.steps set status = 'waiting', fence = fence + 1, retry_at = clock_timestamp() + make_interval(secs => ${inMs / 1000})
    where run_id = ${claim.runId} and path = ${step.path} and fence = ${step.fence} returning retry_at as "retryAt"`;
  if (row === undefined) throw new StaleWriter(step);
  const waitingFor = describe(row.retryAt.toISOString());
  await sql`update kos.steps set waiting_for = ${sql.json({ ...waitingFor })} where run_id = ${claim.runId} and path = ${step.path}`;
  return waitingFor;
}

/** It waits for what its round waits for, which says itself when that is over. */
export async function markRepeatingWaits(sql: TransactionSql, claim: Claim, step: TakenStep, waitingFor: WaitingFor): Promise<void> {
  await sql`
    update kos.steps set status = 'waiting', waiting_for = ${sql.json({ ...waitingFor })}
    where run_id = ${claim.runId} and path = ${step.path} and fence = ${step.fence}`;
}

/** Its row says from now on that it runs in rounds. */
export async function markRepeating(sql: TransactionSql, claim: Claim, { path }: StepPlace): Promise<void> {
  await sql`update kos.steps set metadata = metadata || ${sql.json({ rounds: 0 })} where run_id = ${claim.runId} and path = ${path}`;
}
