import { KosError } from '#core/errors.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { Exposure } from '#schemas/plan.ts';
import type { PlanSummary, PlanVersion } from '#schemas/plan-version.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { decodeCursor, type Page, pageOf } from '#services/paging/page.ts';

export type { PlanSummary, PlanVersion };

interface SummaryRow {
  name: string;
  version: number;
  digest: string;
  description: string | null;
  created_by: string;
  created_at: Date;
}

interface VersionRow extends SummaryRow {
  source: string;
  document: JsonObject;
}

const summaryColumns = (sql: TransactionSql) => sql`v.name, v.version, v.digest, v.document ->> 'description' as description, v.created_by, v.created_at`;

const showSummary = (row: SummaryRow): PlanSummary => ({
  name: row.name,
  version: row.version,
  digest: row.digest,
  description: row.description,
  createdBy: row.created_by,
  createdAt: row.created_at.toISOString(),
});

const showVersion = (row: VersionRow): PlanVersion => ({ ...showSummary(row), source: row.source, document: row.document });

/** Plans with their newest version, by name. */
export async function listPlans({ sql }: Transaction, page: { cursor: string | null; limit: number }): Promise<Page<PlanSummary>> {
  const after = page.cursor === null ? null : (decodeCursor(page.cursor, ['string']) as [string])[0];
  const rows = await sql<SummaryRow[]>`
    select ${summaryColumns(sql)} from kos.plans p join kos.plan_versions v on v.workspace_id = p.workspace_id and v.name = p.name and v.version = p.latest_version
    where not p.archived and ${after === null ? sql`true` : sql`p.name > ${after}`}
    order by p.name limit ${page.limit + 1}`;
  return pageOf(rows, page.limit, showSummary, (row) => [row.name]);
}

/** `version` null: the newest. Throws KosError `plan_not_found` or `plan_version_not_found`. */
export async function readPlanVersion({ sql }: Transaction, name: string, version: number | null): Promise<PlanVersion> {
  const [row] = await sql<VersionRow[]>`
    select ${summaryColumns(sql)}, v.source, v.document from kos.plans p join kos.plan_versions v on v.workspace_id = p.workspace_id and v.name = p.name
    where p.name = ${name} and v.version = ${version === null ? sql`p.latest_version` : version}`;
  if (row !== undefined) return showVersion(row);
  if (version === null) throw planNotFound(name);
  await assertPlanExists({ sql }, name);
  throw new KosError({ code: 'plan_version_not_found', message: `The plan "${name}" has no version ${version}.`, fix: `kai plan get ${name}`, status: 404 });
}

/** Newest first. Throws KosError `plan_not_found`. */
export async function listPlanVersions({ sql }: Transaction, name: string, page: { cursor: string | null; limit: number }): Promise<Page<PlanSummary>> {
  const before = page.cursor === null ? null : (decodeCursor(page.cursor, ['number']) as [number])[0];
  await assertPlanExists({ sql }, name);
  const rows = await sql<SummaryRow[]>`
    select ${summaryColumns(sql)} from kos.plan_versions v
    where v.name = ${name} and ${before === null ? sql`true` : sql`v.version < ${before}`}
    order by v.version desc limit ${page.limit + 1}`;
  return pageOf(rows, page.limit, showSummary, (row) => [row.version]);
}

/** What a door shows of a plan: its newest version, and what a run of it takes. */
export interface ExposedPlan {
  name: string;
  version: number;
  description: string | null;
  /** JSON Schema of the input; null: it takes none. */
  input: JsonObject | null;
}

/** Plans that show themselves at that door, by name. `name`: that one alone. */
export async function listExposedPlans(
  { sql }: Transaction,
  door: Exposure,
  page: { name?: string; cursor: string | null; limit: number },
): Promise<Page<ExposedPlan>> {
  const after = page.cursor === null ? null : (decodeCursor(page.cursor, ['string']) as [string])[0];
  const rows = await sql<ExposedPlan[]>`
    select v.name, v.version, v.document ->> 'description' as description, v.document -> 'input' as input
    from kos.plans p join kos.plan_versions v on v.workspace_id = p.workspace_id and v.name = p.name and v.version = p.latest_version
    where not p.archived and (v.document -> 'expose')::jsonb @> ${sql.json([door])}
      and ${page.name === undefined ? sql`true` : sql`p.name = ${page.name}`} and ${after === null ? sql`true` : sql`p.name > ${after}`}
    order by p.name limit ${page.limit + 1}`;
  return pageOf(
    rows,
    page.limit,
    (row) => row,
    (row) => [row.name],
  );
}

async function assertPlanExists({ sql }: Pick<Transaction, 'sql'>, name: string): Promise<void> {
  const [row] = await sql`select 1 from kos.plans where name = ${name}`;
  if (row === undefined) throw planNotFound(name);
}

const planNotFound = (name: string): KosError =>
  new KosError({ code: 'plan_not_found', message: `There is no plan called "${name}" in this workspace.`, fix: 'kai plan list', status: 404 });
