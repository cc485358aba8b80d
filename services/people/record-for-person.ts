import type { JsonObject } from '#schemas/json.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';

export interface PersonRecord {
  principalId: string;
  actor: string;
  action: string;
  subject: string;
  data: JsonObject;
}

/** What concerns a person stands in the log of every workspace they belong to; in that of the first workspace when they belong to none. */
export async function recordForPerson(sql: TransactionSql, record: PersonRecord): Promise<void> {
  const { principalId, ...entry } = record;
  const own = await sql<{ id: string }[]>`select workspace_id as id from kos.memberships where principal_id = ${principalId}`;
  const first = own.length > 0 ? own : await sql<{ id: string }[]>`select workspace_id as id from kos.workspaces order by created_at, workspace_id limit 1`;
  await recordAudit(
    sql,
    first.map(({ id }) => ({ ...entry, workspaceId: id })),
  );
}
