import type { Claim } from '#core/engine/claim.ts';
import type { WaitingFor } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';

/** A wait that looks again and again, as its row has it. */
export interface CheckRow {
  /** Calls that were answered, or failed, and are on record. */
  looks: number;
  /** Of them, those that failed since the last that did not. */
  failures: number;
  /** Until it is to be looked again, by the database's clock, ms. */
  leftMs: number;
}

export async function readCheck(sql: TransactionSql, waitId: string): Promise<CheckRow> {
  const [row] = await sql<CheckRow[]>`
    select looks, failures, coalesce((extract(epoch from next_look_at - clock_timestamp()) * 1000)::float8, 0) as "leftMs" from kos.waits where id = ${waitId}`;
  if (row === undefined) throw new Error(`The wait ${waitId} is gone.`);
  return row;
}

/** The first look is due at once. */
export async function markChecked(sql: TransactionSql, waitId: string): Promise<void> {
  await sql`update kos.waits set next_look_at = clock_timestamp() where id = ${waitId}`;
}

export interface Looked {
  stepPath: string;
  waitId: string;
  /** Null: the call was answered, and the condition is not met. */
  failed: string | null;
  /** Until the next look, ms. */
  inMs: number;
}

/** It was looked, and the wait goes on: its row, its step's and, where that is all the run waits for, the run's say when and what is next. */
export async function recordLook(sql: TransactionSql, claim: Claim, { stepPath, waitId, failed, inMs }: Looked, tool: string): Promise<void> {
  const [row] = await sql<{ looks: number; at: Date; next: Date; expiresAt: Date | null }[]>`
    update kos.waits set looks = looks + 1, failures = ${failed === null ? sql`0` : sql`failures + 1`}, last_look_at = clock_timestamp(),
      next_look_at = clock_timestamp() + make_interval(secs => ${inMs / 1000})
    where id = ${waitId} and status = 'open' returning looks, last_look_at as at, next_look_at as next, expires_at as "expiresAt"`;
  if (row === undefined) return;
  const waitingFor = describeCheck(stepPath, waitId, tool, { ...row, failed });
  const { runId } = claim;
  await sql`update kos.steps set waiting_for = ${sql.json({ ...waitingFor })} where run_id = ${runId} and path = ${stepPath} and status = 'waiting'`;
  await sql`update kos.runs set waiting_for = ${sql.json({ ...waitingFor })} where id = ${runId} and status = 'waiting' and waiting_for->>'ref' = ${waitId}`;
}

/** What is awaited, when it was last looked, what came of that, and when it is looked next. */
export function describeCheck(
  stepPath: string,
  waitId: string,
  tool: string,
  { looks, at, next, expiresAt, failed }: { looks: number; at: Date | null; next: Date | null; expiresAt: Date | null; failed: string | null },
): WaitingFor {
  const seen =
    at === null
      ? 'It was not looked yet'
      : `Last looked at ${at.toISOString()} (${looks} ${looks === 1 ? 'time' : 'times'} so far): ${failed === null ? 'not yet' : `that failed, ${failed}`}`;
  const then = next === null ? '' : `; next at ${next.toISOString()}`;
  const end = expiresAt === null ? '' : ` It expires at ${expiresAt.toISOString()}.`;
  return {
    kind: 'timer',
    ref: waitId,
    until: next?.toISOString() ?? null,
    text: `${stepPath} waits until its condition on ${tool} is met. ${seen}${then}.${end}`,
  };
}
