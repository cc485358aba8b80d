import type { Claim } from '#core/engine/claim.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import type { TakenStep } from './take-step.ts';

/** The same on every attempt of a step, and nowhere else. */
export const effectKeyOf = (runId: string, stepPath: string): string => `${runId}/${stepPath}`;

export interface Intent {
  /** `uncertain`: an earlier worker may have made this effect, and repeating it could double it. */
  verdict: 'go' | 'uncertain';
  /** An earlier call under the same key has no known outcome. */
  repeated: boolean;
}

interface EffectRow {
  status: 'intended' | 'happened' | 'none' | 'uncertain';
  calls: number;
}

/**
 * Records what is about to be tried, before it is. An intent under an older fence means that a worker was lost between the call and its
 * record: an idempotent effect is asked for again under the same key, an effectful one becomes uncertain.
 */
export async function recordIntent(
  sql: TransactionSql,
  claim: Claim,
  step: TakenStep,
  effect: { tool: string; repeatable: boolean; inputDigest: string },
): Promise<Intent> {
  const key = effectKeyOf(claim.runId, step.path);
  const [before] = await sql<EffectRow[]>`select status, calls from kos.effects where key = ${key} for update`;
  const unknown = before !== undefined && (before.status === 'intended' || before.status === 'uncertain');
  const verdict = unknown && !effect.repeatable ? 'uncertain' : 'go';
  const status = verdict === 'go' ? 'intended' : 'uncertain';
  await sql`
    insert into kos.effects as e (key, workspace_id, run_id, step_path, tool, status, fence, input_digest, calls)
    values (${key}, ${claim.workspaceId}, ${claim.runId}, ${step.path}, ${effect.tool}, ${status}, ${step.fence}, ${effect.inputDigest}, 1)
    on conflict (key) do update set status = ${status}, fence = ${step.fence}, input_digest = ${effect.inputDigest},
      calls = e.calls + ${verdict === 'go' ? 1 : 0}, updated_at = clock_timestamp()`;
  const data = { stepPath: step.path, tool: effect.tool, attempt: step.attempt, inputDigest: effect.inputDigest };
  await recordAudit(sql, [{ workspaceId: claim.workspaceId, actor: 'kos', action: `effect.${status}`, subject: claim.runId, data }]);
  return { verdict, repeated: unknown };
}

/** Closes the intent: it happened, it surely did not, or nobody can say. */
export async function settleEffect(sql: TransactionSql, claim: Claim, step: TakenStep, status: 'happened' | 'none' | 'intended' | 'uncertain'): Promise<void> {
  await sql`update kos.effects set status = ${status}, updated_at = clock_timestamp() where key = ${effectKeyOf(claim.runId, step.path)}`;
}
