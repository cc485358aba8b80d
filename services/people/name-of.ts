import type { TransactionSql } from '#services/database/connect.ts';

/** What people call somebody, for texts that people read: their id where they do not belong to the workspace of this transaction (`kos` itself, or somebody who left). */
export async function nameOf(sql: TransactionSql, principalId: string): Promise<string> {
  const [member] = await sql<{ name: string }[]>`select name from kos.workspace_members() where id = ${principalId}`;
  return member === undefined || member.name === '' ? principalId : member.name;
}
