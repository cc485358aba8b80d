import type { ApprovalRule } from '#schemas/approval-rule.ts';
import type { TransactionSql } from '#services/database/connect.ts';

export interface RuleRow {
  name: string;
  version: number;
  tool: string;
  condition: string | null;
  description: string | null;
  removed: boolean;
  created_by: string;
  created_at: Date;
}

export const showRule = ({ condition, created_by, created_at, ...row }: RuleRow): ApprovalRule => ({
  name: row.name,
  version: row.version,
  tool: row.tool,
  when: condition,
  description: row.description,
  removed: row.removed,
  createdBy: created_by,
  createdAt: created_at.toISOString(),
});

/** The rules that hold, by name. */
export async function readRules(sql: TransactionSql): Promise<ApprovalRule[]> {
  const rows = await sql<RuleRow[]>`
    select * from (
      select distinct on (name) name, version, tool, condition, description, removed, created_by, created_at from kos.approval_rules order by name, version desc
    ) newest where not removed order by name`;
  return rows.map(showRule);
}
