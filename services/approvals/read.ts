import { KosError } from '#core/errors.ts';
import { peopleWhoApproved } from '#core/approval/tally.ts';
import type { Approval, ApprovalArgument, ApprovalComment, ApprovalDecision } from '#schemas/approval.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { decodeNewestFirst, newestFirstKey, type Page, pageBytes, pageOf, type Sized } from '#services/paging/page.ts';

interface ApprovalRow {
  id: string;
  run_id: string;
  step_path: string;
  path: string;
  status: Approval['status'];
  message: string | null;
  arguments: ApprovalArgument[];
  /** Null: nothing. */
  ended_by_hand: Approval['endedByHand'] | null;
  arguments_digest: string;
  from: string;
  required: number;
  four_eyes: boolean;
  decisions: ApprovalDecision[];
  approvers: string[] | null;
  comments: ApprovalComment[];
  claimed_by: string | null;
  claimed_until: Date | null;
  /** By the database's clock. */
  is_claimed: boolean;
  created_at: Date;
  expires_at: Date | null;
  /** By the database's clock. */
  past_expiry: boolean;
}

const columns = (sql: TransactionSql) => sql`
  id, run_id, step_path, coalesce((select r.called_from || '/' from kos.runs r where r.id = approvals.run_id), '') || step_path as path, status, message, arguments, arguments_digest, "from", required, four_eyes, decisions, created_at, expires_at,
  approvers, comments, claimed_by, claimed_until, coalesce(status = 'open' and claimed_until > clock_timestamp(), false) as is_claimed,
  coalesce(expires_at <= clock_timestamp(), false) as past_expiry,
  case when status = 'open' then (
    select jsonb_agg((s.metadata->'byHand') - 'actor' || jsonb_build_object('stepPath', s.path, 'by', s.metadata->'byHand'->'actor') order by s.step) from kos.steps s
    where s.run_id = approvals.run_id and s.path in (select shown->>'stepPath' from json_array_elements(approvals.arguments) shown)
      and s.metadata->'byHand'->>'action' in ('override', 'skip')) end as ended_by_hand`;

const showApproval = (row: ApprovalRow): Approval => ({
  id: row.id,
  runId: row.run_id,
  stepPath: row.step_path,
  path: row.path,
  // Expired is expired, whether or not the engine has recorded it yet.
  status: row.status === 'open' && row.past_expiry ? 'expired' : row.status,
  message: row.message,
  arguments: row.arguments,
  endedByHand: row.ended_by_hand ?? [],
  argumentsDigest: row.arguments_digest,
  from: row.from,
  approvers: row.approvers ?? [row.from],
  required: row.required,
  approvedBy: peopleWhoApproved({ required: row.required, argumentsDigest: row.arguments_digest, decisions: row.decisions }).size,
  fourEyes: row.four_eyes,
  createdAt: row.created_at.toISOString(),
  expiresAt: row.expires_at?.toISOString() ?? null,
  claim: row.is_claimed && row.claimed_by !== null && row.claimed_until !== null ? { by: row.claimed_by, until: row.claimed_until.toISOString() } : null,
  decisions: row.decisions,
  comments: row.comments,
});

export const approvalNotFound = (approvalId: string): KosError =>
  new KosError({ code: 'approval_not_found', message: `There is no approval ${approvalId} in this workspace.`, fix: 'kai approval list', status: 404 });

/** Throws KosError `approval_not_found`, for another workspace's approval too. */
export async function readApproval({ sql }: Transaction, approvalId: string): Promise<Approval> {
  const [row] = await sql<ApprovalRow[]>`select ${columns(sql)} from kos.approvals where id = ${approvalId}`;
  if (row === undefined) throw approvalNotFound(approvalId);
  return showApproval(row);
}

export interface ApprovalFilter {
  status: Approval['status'] | null;
  runId: string | null;
  cursor: string | null;
  limit: number;
}

/** Newest first. A page may hold fewer than `limit` where arguments are large. */
export async function listApprovals({ sql }: Transaction, filter: ApprovalFilter): Promise<Page<Approval>> {
  const before = filter.cursor === null ? null : decodeNewestFirst(filter.cursor);
  const rows = await sql<(ApprovalRow & Sized)[]>`
    with page as materialized (
      select ${columns(sql)} from kos.approvals
      where ${filter.status === null ? sql`true` : hasStatus(sql, filter.status)}
        and ${filter.runId === null ? sql`true` : ofRunAndBelow(sql, filter.runId)}
        and ${before === null ? sql`true` : sql`(created_at, id) < (${before.createdAt}, ${before.id})`}
      order by created_at desc, id desc limit ${filter.limit + 1}
    ), sized as (
      select id, count(*) over ()::int as found, coalesce(sum(pg_column_size(arguments)) over earlier, 0) as bytes_before
      from page window earlier as (order by created_at desc, id desc rows between unbounded preceding and 1 preceding)
    )
    select page.*, sized.found from page join sized using (id) where sized.bytes_before < ${pageBytes} order by created_at desc, id desc`;
  return pageOf(rows, filter.limit, showApproval, (row) => newestFirstKey({ createdAt: row.created_at, id: row.id }), rows[0]?.found);
}

/** Of the run, and of those that its steps have started. */
const ofRunAndBelow = (sql: TransactionSql, runId: string) => sql`
  run_id in (with recursive below as (select ${runId}::text as id union all select r.id from kos.runs r join below on r.parent_run_id = below.id) select id from below)`;

/** Says of a row what `showApproval` shows. */
function hasStatus(sql: TransactionSql, status: Approval['status']) {
  const pastExpiry = sql`coalesce(expires_at <= clock_timestamp(), false)`;
  switch (status) {
    case 'open':
      return sql`(status = 'open' and not ${pastExpiry})`;
    case 'expired':
      return sql`(status = 'expired' or (status = 'open' and ${pastExpiry}))`;
    case 'approved':
    case 'denied':
    case 'voided':
      return sql`status = ${status}`;
  }
}

export async function countOpenApprovals({ sql }: Transaction): Promise<number> {
  const [row] = await sql<{ count: number }[]>`select count(*)::int as count from kos.approvals where ${hasStatus(sql, 'open')}`;
  return row?.count ?? 0;
}
