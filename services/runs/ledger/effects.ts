import type { PendingQuery, Row } from 'postgres';
import type { Claim } from '#core/engine/claim.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { recordedWithChange } from '#services/records/record.ts';
import { startEvent, type TakenStep } from './take-step.ts';

/** The same on every attempt of a step, and nowhere else. */
export const effectKeyOf = (runId: string, stepPath: string): string => `${runId}/${stepPath}`;

export interface Intent {
  /** `uncertain`: an earlier worker may have made this effect, and repeating it could double it. */
  verdict: 'go' | 'uncertain';
  /** An earlier call under the same key has no known outcome. */
  repeated: boolean;
}

export type EffectStatus = 'happened' | 'none' | 'intended' | 'uncertain';

export interface Effect {
  tool: string;
  repeatable: boolean;
  inputDigest: string;
}

/**
 * Records what is about to be tried, before it is, and that the step has started. An intent under an older fence means that a worker was lost between the call
 * and its record: an idempotent effect is asked for again under the same key, an effectful one becomes uncertain. The step is taken in the same transaction, so
 * nobody else can come between. `commit` is sent right behind.
 */
export async function recordIntent(sql: TransactionSql, claim: Claim, step: TakenStep, effect: Effect, commit: () => void): Promise<Intent> {
  const { workspaceId, runId } = claim;
  const facts = { stepPath: step.path, tool: effect.tool, attempt: step.attempt, inputDigest: effect.inputDigest };
  const query = sql<{ status: EffectStatus; repeated: boolean }[]>`
    with before as (
      select status in ('intended', 'uncertain') as unknown, status in ('intended', 'uncertain') and not ${effect.repeatable}::boolean as lost
      from kos.effects where key = ${effectKeyOf(runId, step.path)}
    ), changed as (
      insert into kos.effects as e (key, workspace_id, run_id, step_path, tool, status, fence, input_digest, calls)
      values (${effectKeyOf(runId, step.path)}, ${workspaceId}, ${runId}, ${step.path}, ${effect.tool}, 'intended', ${step.fence}, ${effect.inputDigest}, 1)
      on conflict (key) do update set status = case when (select lost from before) then 'uncertain' else 'intended' end, fence = excluded.fence,
        input_digest = excluded.input_digest, calls = e.calls + case when (select lost from before) then 0 else 1 end, updated_at = clock_timestamp()
      returning status
    ), audited as (
      insert into kos.audit_entries (id, workspace_id, actor, action, subject, data)
      select ${newId('audit')}, ${workspaceId}, 'kos', 'effect.' || status, ${runId}, ${sql.json(facts)}::jsonb from changed
    )${recordedWithChange(sql, { events: [startEvent(claim, step)], audit: null })}
    select status, coalesce((select unknown from before), false) as repeated from changed`.execute();
  commit();
  const [row] = await query;
  if (row === undefined) throw new Error(`The intent of ${step.path} in ${runId} was not recorded.`);
  return { verdict: row.status === 'uncertain' ? 'uncertain' : 'go', repeated: row.repeated };
}

/** Closes the intent, in the statement that ends its step: it happened, it surely did not, or nobody can say. */
export const settledWithChange = (sql: TransactionSql, claim: Claim, step: TakenStep, status: EffectStatus): PendingQuery<Row[]> =>
  sql`update kos.effects set status = ${status}, updated_at = clock_timestamp() where key = ${effectKeyOf(claim.runId, step.path)} and exists (select from changed)`;

/** Closes the intent of a step that does not end: it is to be tried again. */
export async function settleEffect(sql: TransactionSql, claim: Claim, step: TakenStep, status: EffectStatus): Promise<void> {
  await sql`update kos.effects set status = ${status}, updated_at = clock_timestamp() where key = ${effectKeyOf(claim.runId, step.path)}`;
}
