import { KosError } from '#core/errors.ts';
import { handlerInput, readHandlerInput } from '#core/plan/on-failure.ts';
import type { JsonObject } from '#schemas/json.ts';
import { type OnFailure, onFailureSchema } from '#schemas/plan.ts';
import { type FailureHandling, outcomeErrorSchema } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import { acceptRun, type AcceptDependencies } from './accept.ts';

interface FailedRow {
  plan: string;
  input: JsonObject;
  startedBy: string;
  responsible: string;
  rule: OnFailure;
}

class HandledAlready extends Error {}

/**
 * Carries out the order of a run that failed (ledger/order-failure-handler.ts): starts what its plan says is to run then, once for each run that failed, however often this is asked, retried runs included. Where none can be
 * started, the run that failed says why.
 */
export async function handleFailure(
  dependencies: AcceptDependencies,
  { workspaceId, runId, payload }: { workspaceId: string; runId: string; payload: JsonObject },
): Promise<void> {
  // As it was when it failed: it may have been retried since.
  const error = outcomeErrorSchema.nullable().parse(payload['error']);
  const failed = await dependencies.database.inWorkspace(workspaceId, ({ sql }) => readFailed(sql, runId));
  if (failed === null) return;
  try {
    const own = (await dependencies.evaluate(readHandlerInput(failed.rule), {
      input: failed.input,
      steps: {},
      run: { id: runId, startedAt: '' },
    })) as JsonObject;
    await acceptRun(dependencies, {
      workspaceId,
      actor: failed.startedBy,
      responsible: failed.responsible,
      origin: { kind: 'failure', id: runId },
      request: { plan: failed.rule.plan, input: handlerInput(own, { runId, plan: failed.plan, error }) },
      alsoInTransaction: async ({ sql }, startedId) => {
        if (!(await note(sql, runId, { runId: startedId, error: null }))) throw new HandledAlready();
      },
    });
  } catch (refusal) {
    if (refusal instanceof HandledAlready) return;
    if (!(refusal instanceof KosError) || refusal.status >= 500 || refusal.retryable) throw refusal;
    const { code, message, fix } = refusal;
    await dependencies.database.inWorkspace(workspaceId, async ({ sql }) => {
      if (!(await note(sql, runId, { runId: null, error: { code, message, fix, stepPath: null } }))) return;
      await recordAudit(sql, [{ workspaceId, actor: 'kos', action: 'run.on_failure', subject: runId, data: { plan: failed.rule.plan, refused: code } }]);
    });
  }
}

/** Null: it is gone, or was handled. */
async function readFailed(sql: TransactionSql, runId: string): Promise<FailedRow | null> {
  const [row] = await sql<FailedRow[]>`
    select r.plan_name as plan, r.input, r.started_by as "startedBy", r.responsible, v.document->'onFailure' as rule
    from kos.runs r join kos.plan_versions v on v.workspace_id = r.workspace_id and v.name = r.plan_name and v.version = r.plan_version
    where r.id = ${runId} and r.on_failure is null`;
  return row === undefined ? null : { ...row, rule: onFailureSchema.parse(row.rule) };
}

/** False: somebody else has. */
async function note(sql: TransactionSql, runId: string, handling: FailureHandling): Promise<boolean> {
  const [noted] = await sql`update kos.runs set on_failure = ${sql.json(handling)} where id = ${runId} and on_failure is null returning id`;
  return noted !== undefined;
}
