import type { TransactionSql } from '#services/database/connect.ts';

/** Of a run that has just failed, whose plan says what is to run then: an order in the transaction that closes it. Runs that a failure started, and those below them, order nothing. */
export async function orderFailureHandler(sql: TransactionSql, runId: string): Promise<void> {
  await sql`
    insert into kos.outbox (workspace_id, run_id, kind, payload)
    select r.workspace_id, r.id, 'onFailure', jsonb_build_object('error', r.error)
    from kos.runs r join kos.plan_versions v on v.workspace_id = r.workspace_id and v.name = r.plan_name and v.version = r.plan_version
      left join kos.runs root on root.id = r.root_run_id
    where r.id = ${runId} and v.document->'onFailure' is not null and r.on_failure is null and coalesce(root.origin, r.origin)->>'kind' <> 'failure'`;
}
