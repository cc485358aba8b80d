import { approvalDigest, type Covered } from '#core/approval/digest.ts';
import type { Approval, ApprovalArgument } from '#schemas/approval.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { Origin, RunStatus } from '#schemas/run.ts';
import { jsonParameter, type Transaction } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { recordEvents } from '#services/records/record.ts';

export interface RunFixture {
  workspaceId: string;
  startedBy?: string;
  responsible?: string;
  origin?: Origin;
  status?: RunStatus;
  input?: JsonObject;
  labels?: Record<string, string>;
  planName?: string;
  cache?: boolean | undefined;
}

/** A run's row and its first event, as accepting it would leave them. */
export async function insertRun({ sql }: Transaction, run: RunFixture): Promise<string> {
  const runId = newId('run');
  const { workspaceId, status = 'queued' } = run;
  const by = run.startedBy ?? 'prn_test';
  const finishedAt = ['succeeded', 'failed', 'cancelled', 'terminated'].includes(status) ? new Date() : null;
  await sql`
    insert into kos.runs (id, workspace_id, plan_name, plan_version, plan_digest, status, input, labels, started_by, responsible, origin, rules, finished_at, use_cache)
    values (${runId}, ${workspaceId}, ${run.planName ?? 'test-plan'}, 1, ${'0'.repeat(64)}, ${status}, ${jsonParameter(sql, run.input ?? {})}, ${sql.json(run.labels ?? {})},
      ${by}, ${run.responsible ?? by}, ${sql.json(run.origin ?? { kind: 'api', id: null })}, 1, ${finishedAt}, ${run.cache !== false})`;
  await recordEvents(sql, [{ workspaceId, runId, type: 'run.accepted', data: {} }]);
  return runId;
}

export interface ApprovalFixture {
  workspaceId: string;
  runId: string;
  from?: string;
  fourEyes?: boolean;
  /** Milliseconds from now; null: never. */
  expiresInMs?: number | null;
  required?: number;
  approvers?: string[];
  /** What it shows; with it, the digest is a true one. */
  shown?: ApprovalArgument[];
  covers?: Covered;
}

export const testArgumentsDigest = 'a'.repeat(64);

/** An open approval with its wait. */
export async function insertApproval({ sql }: Transaction, fixture: ApprovalFixture): Promise<{ approvalId: Approval['id']; waitId: string; digest: string }> {
  const [waitId, approvalId] = [newId('wait'), newId('approval')];
  const { workspaceId, runId, expiresInMs = null } = fixture;
  const expiresAt = expiresInMs === null ? null : new Date(Date.now() + expiresInMs);
  await sql`insert into kos.waits (id, workspace_id, run_id, step_path, kind, expires_at) values (${waitId}, ${workspaceId}, ${runId}, 'signOff', 'approval', ${expiresAt})`;
  const shown = fixture.shown ?? [{ stepPath: 'report', kind: 'artifact', input: { name: 'report.md', content: 'text' } }];
  const covers = fixture.shown === undefined ? null : (fixture.covers ?? { plan: '0'.repeat(64), tools: { 'fs.write': 1 } });
  const digest = covers === null ? testArgumentsDigest : approvalDigest(covers, null, shown);
  await sql`
    insert into kos.approvals (id, workspace_id, wait_id, run_id, step_path, arguments, arguments_digest, covers, "from", approvers, required, four_eyes, expires_at)
    values (${approvalId}, ${workspaceId}, ${waitId}, ${runId}, 'signOff', ${jsonParameter(sql, shown as Json)}, ${digest}, ${covers === null ? null : sql.json(covers as unknown as JsonObject)},
      ${fixture.from ?? 'role:approver'}, ${fixture.approvers === undefined ? null : sql.json(fixture.approvers)}, ${fixture.required ?? 1},
      ${fixture.fourEyes ?? false}, ${expiresAt})`;
  return { approvalId, waitId, digest };
}
