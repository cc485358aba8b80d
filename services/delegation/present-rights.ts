import { lostRight, type PresentRights } from '#core/policy/delegated.ts';
import type { Permission } from '#core/policy/permissions.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { nameOf } from '#services/people/name-of.ts';

/** Null: they do not belong to the workspace of this transaction, or may not act. */
export async function presentRights(sql: TransactionSql, principalId: string): Promise<PresentRights | null> {
  const [row] = await sql<PresentRights[]>`select roles, installation_role as "installationRole" from kos.present_rights(${principalId})`;
  return row ?? null;
}

/** Why what acts for somebody may do something no longer; null: it may. */
export async function lostRightOf(sql: TransactionSql, acting: { createdBy: string; granted: readonly string[] }, needed: Permission): Promise<string | null> {
  const [rights, name] = await Promise.all([presentRights(sql, acting.createdBy), nameOf(sql, acting.createdBy)]);
  return lostRight(acting.granted, rights, needed, name);
}
