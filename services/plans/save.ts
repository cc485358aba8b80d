import { KosError } from '#core/errors.ts';
import { jsonParameter, type Transaction } from '#services/database/connect.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import type { CheckedPlan, PlanVerdict } from './compiler.ts';
import { type PlanVersion, readPlanVersion } from './read.ts';

/** Throws KosError `plan_invalid` (422) with every fault, each with its line and column where there is a text. */
export function assertValid(verdict: PlanVerdict): CheckedPlan {
  if (verdict.ok) return verdict.plan;
  const count = verdict.faults.length;
  throw new KosError({
    code: 'plan_invalid',
    message: `The plan has ${count} ${count === 1 ? 'fault' : 'faults'}: ${verdict.faults[0]?.message ?? 'unknown'}${count > 1 ? ' …' : ''}`,
    fix: 'Correct the plan; `kai plan validate FILE` shows every fault in its place.',
    status: 422,
    details: verdict.faults,
  });
}

export interface SavedPlan {
  version: PlanVersion;
  /** False: that content was saved before, so nothing is new but, perhaps, which version is the newest. */
  created: boolean;
}

/**
 * Saves a checked plan as the next version of its name. A version is its content: saving what is saved already gives that version, and what was an
 * older one is the newest again. One save of a name at a time.
 */
export async function savePlan(
  transaction: Transaction,
  request: { workspaceId: string; actor: string; source: string; plan: CheckedPlan },
): Promise<SavedPlan> {
  const { workspaceId, actor, source, plan } = request;
  const { sql } = transaction;
  await sql`insert into kos.plans (workspace_id, name, latest_version) values (${workspaceId}, ${plan.name}, 0)
    on conflict (workspace_id, name) do update set archived = false`;
  const [known] = await sql<
    { latest: number }[]
  >`select latest_version as latest from kos.plans where workspace_id = ${workspaceId} and name = ${plan.name} for update`;
  const [equal] = await sql<{ version: number }[]>`
    select version from kos.plan_versions where workspace_id = ${workspaceId} and name = ${plan.name} and digest = ${plan.digest}`;
  const version = equal?.version ?? (await nextVersion(transaction, plan.name));
  if (equal === undefined) {
    await sql`
      insert into kos.plan_versions (workspace_id, name, version, digest, source, document, shape, created_by)
      values (${workspaceId}, ${plan.name}, ${version}, ${plan.digest}, ${source}, ${jsonParameter(sql, plan.document)}, ${sql.json(plan.shape)}, ${actor})`;
  }
  if (version !== known?.latest) {
    await sql`update kos.plans set latest_version = ${version}, updated_at = now() where workspace_id = ${workspaceId} and name = ${plan.name}`;
    const data = { name: plan.name, version, digest: plan.digest };
    await recordEvents(sql, [{ workspaceId, runId: null, type: 'plan.saved', data }]);
    await recordAudit(sql, [{ workspaceId, actor, action: 'plan.save', subject: `${plan.name}@${version}`, data }]);
  }
  return { version: await readPlanVersion(transaction, plan.name, version), created: equal === undefined };
}

async function nextVersion({ sql }: Transaction, name: string): Promise<number> {
  const [row] = await sql<{ next: number }[]>`select coalesce(max(version), 0) + 1 as next from kos.plan_versions where name = ${name}`;
  return row?.next ?? 1;
}
