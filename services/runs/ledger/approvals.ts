import type { Claim } from '#core/engine/claim.ts';
import { approversText, type Member } from '#core/approval/approvers.ts';
import type { Covered } from '#core/approval/digest.ts';
import type { ApprovalArgument, ApprovalDecision, RuleReference } from '#schemas/approval.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { jsonParameter, type TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { closeWait } from './waits.ts';

export interface Escalation {
  afterMs: number;
  /** Who may decide from then on, too; null: an event only. */
  to: string[] | null;
}

export interface NewApproval {
  waitId: string;
  message: string | null;
  arguments: ApprovalArgument[];
  argumentsDigest: string;
  covers: Covered;
  /** As the plan says it. */
  from: string;
  /** The same, with ids. */
  approvers: string[];
  required: number;
  fourEyes: boolean;
  expiresAt: Date | null;
  escalations: Escalation[];
  /** Rules that could not be evaluated, so that people are asked. */
  failedRules: RuleReference[];
}

/** The people and agents of the workspace, the disabled ones left out. */
export async function readMembers(sql: TransactionSql): Promise<Member[]> {
  return await sql<Member[]>`select id, kind, name, login from kos.workspace_members()`;
}

export async function insertApproval(sql: TransactionSql, claim: Claim, stepPath: string, approval: NewApproval): Promise<string> {
  const approvalId = newId('approval');
  const { workspaceId, runId } = claim;
  await sql`
    insert into kos.approvals (id, workspace_id, wait_id, run_id, step_path, message, arguments, arguments_digest, covers, "from", approvers, required, four_eyes, expires_at)
    values (${approvalId}, ${workspaceId}, ${approval.waitId}, ${runId}, ${stepPath}, ${approval.message}, ${jsonParameter(sql, approval.arguments as unknown as Json)}, ${approval.argumentsDigest},
      ${sql.json(approval.covers as unknown as JsonObject)}, ${approval.from}, ${sql.json(approval.approvers)}, ${approval.required}, ${approval.fourEyes}, ${approval.expiresAt})`;
  for (const { afterMs, to } of approval.escalations) {
    await sql`
      insert into kos.approval_escalations (id, workspace_id, run_id, wait_id, approval_id, due_at, "to")
      select ${newId('escalation')}, ${workspaceId}, ${runId}, id, ${approvalId}, opened_at + make_interval(secs => ${afterMs / 1000}), ${to === null ? null : sql.json(to)}
      from kos.waits where id = ${approval.waitId}`;
  }
  const { argumentsDigest, from, required } = approval;
  const facts = { approvalId, stepPath, argumentsDigest, from, required, ...(approval.failedRules.length === 0 ? {} : { failedRules: approval.failedRules }) };
  await recordEvents(sql, [{ workspaceId, runId, type: 'approval.requested', data: { ...facts, expiresAt: approval.expiresAt?.toISOString() ?? null } }]);
  await recordAudit(sql, [{ workspaceId, actor: 'kos', action: 'approval.request', subject: approvalId, data: { runId, ...facts } }]);
  return approvalId;
}

/** Approved by rules as it was opened: nobody is asked. */
export async function approveByRules(
  sql: TransactionSql,
  claim: Claim,
  opened: { approvalId: string; waitId: string; stepPath: string; argumentsDigest: string },
  rules: RuleReference[],
): Promise<void> {
  const { approvalId, waitId, stepPath, argumentsDigest } = opened;
  const by = rules.map(({ name, version }) => `rule:${name}@${version}`).join(', ');
  const decision = { by, decision: 'approve', reason: null, argumentsDigest, rules } satisfies Omit<ApprovalDecision, 'at'>;
  await sql`
    update kos.approvals set status = 'approved', decided_at = clock_timestamp(),
      decisions = jsonb_build_array(${sql.json(decision)} || jsonb_build_object('at', to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))
    where id = ${approvalId}`;
  await closeWait(sql, waitId, 'settled');
  const { workspaceId, runId } = claim;
  const facts = { approvalId, stepPath, decision: 'approve', status: 'approved', rules };
  await recordEvents(sql, [{ workspaceId, runId, type: 'approval.decided', data: { ...facts, by } }]);
  await recordAudit(sql, [{ workspaceId, actor: 'kos', action: 'approval.decide', subject: approvalId, data: { ...facts, runId, argumentsDigest } }]);
}

export interface DecidedApproval {
  id: string;
  status: 'open' | 'approved' | 'denied' | 'expired' | 'voided';
  message: string | null;
  arguments: ApprovalArgument[];
  argumentsDigest: string;
  decisions: ApprovalDecision[];
}

export async function readApprovalOfStep(sql: TransactionSql, runId: string, stepPath: string): Promise<DecidedApproval | null> {
  const [row] = await sql<DecidedApproval[]>`
    select id, status, message, arguments, arguments_digest as "argumentsDigest", decisions from kos.approvals
    where run_id = ${runId} and step_path = ${stepPath} order by created_at desc limit 1`;
  return row ?? null;
}

export async function expireApproval(sql: TransactionSql, claim: Claim, waitId: string, stepPath: string): Promise<void> {
  await closeWait(sql, waitId, 'expired');
  const [row] = await sql<{ id: string }[]>`
    update kos.approvals set status = 'expired', decided_at = clock_timestamp() where wait_id = ${waitId} and status = 'open' returning id`;
  if (row === undefined) return;
  const { workspaceId, runId } = claim;
  await recordEvents(sql, [{ workspaceId, runId, type: 'approval.expired', data: { approvalId: row.id, stepPath } }]);
  await recordAudit(sql, [{ workspaceId, actor: 'kos', action: 'approval.expire', subject: row.id, data: { runId, stepPath } }]);
}

/**
 * Does what is due of an open approval's escalations, each once, and says who may decide now. The wait's row must be locked. Null: nothing was due.
 * `resolve` gives people and agents by their ids; whom it does not know is left out.
 */
export async function escalate(
  sql: TransactionSql,
  claim: Claim,
  waitId: string,
  stepPath: string,
  resolve: (to: string[]) => Promise<string[]>,
): Promise<string | null> {
  const due = await sql<{ approvalId: string; to: string[] | null }[]>`
    update kos.approval_escalations set happened_at = clock_timestamp()
    where wait_id = ${waitId} and happened_at is null and due_at <= clock_timestamp() returning approval_id as "approvalId", "to"`;
  const [first] = due;
  if (first === undefined) return null;
  const named = [...new Set(due.flatMap(({ to }) => to ?? []))];
  const added = await resolve(named);
  const { workspaceId, runId } = claim;
  const [row] = await sql<{ from: string }[]>`
    update kos.approvals set "from" = ${named.length === 0 ? sql`"from"` : sql`"from" || ', ' || ${approversText(named)}`},
      approvers = coalesce(approvers, jsonb_build_array("from")) || ${sql.json(added)}
    where id = ${first.approvalId} returning "from"`;
  const facts = { approvalId: first.approvalId, stepPath, to: named };
  await recordEvents(sql, [{ workspaceId, runId, type: 'approval.escalated', data: facts }]);
  await recordAudit(sql, [{ workspaceId, actor: 'kos', action: 'approval.escalate', subject: first.approvalId, data: { runId, ...facts } }]);
  return row?.from ?? null;
}
