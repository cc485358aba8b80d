import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPool, type Sql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { makeTestDatabase, type TestDatabase } from '#tests/rig/test-database.ts';
import { insertApproval, insertRun } from '#tests/rig/test-runs.ts';

let rig: TestDatabase;
/** As `kos_app`, without `inWorkspace`: what a mistake in our own code could do. */
let bare: Sql;
let workspaceTables: string[];
let otherTables: string[];

/** They name a workspace, and are the installation's own all the same: what is presented says which one. */
const readBeforeAnyWorkspace = ['credentials', 'links', 'grants'];

const [mine, theirs] = [newId('workspace'), newId('workspace')];

beforeAll(async () => {
  rig = await makeTestDatabase();
  bare = openPool(rig.addresses.app, { max: 2, applicationName: 'kos-test' });
  const tables = await rig.system.sql<{ name: string; ofWorkspace: boolean }[]>`
    select t.tablename as name, exists (
        select 1 from information_schema.columns c where c.table_schema = 'kos' and c.table_name = t.tablename and c.column_name = 'workspace_id'
      ) and t.tablename not in ${rig.system.sql(readBeforeAnyWorkspace)} as "ofWorkspace"
    from pg_tables t where t.schemaname = 'kos' order by 1`;
  workspaceTables = tables.filter(({ ofWorkspace }) => ofWorkspace).map(({ name }) => name);
  otherTables = tables.filter(({ ofWorkspace }) => !ofWorkspace).map(({ name }) => name);
  for (const workspaceId of [mine, theirs]) await fillEveryTable(workspaceId);
});

afterAll(async () => {
  await bare.end();
  await rig.remove();
});

/** One row at least in every table of a workspace: those with a shape of their own by fixtures, all others by what their columns' types allow. */
async function fillEveryTable(workspaceId: string): Promise<void> {
  await rig.database.inWorkspace(workspaceId, async (transaction) => {
    const runId = await insertRun(transaction, { workspaceId });
    await insertApproval(transaction, { workspaceId, runId });
  });
  await rig.system.sql`insert into kos.principals (id, kind, name, public_key) values (${`prn_${workspaceId}`}, 'user', 'x', '')`;
  for (const table of workspaceTables) {
    const [row] = await rig.system.sql`select 1 from kos.${rig.system.sql(table)} where workspace_id = ${workspaceId}`;
    if (row === undefined) await insertAnything(table, workspaceId);
  }
}

async function insertAnything(table: string, workspaceId: string): Promise<void> {
  const columns = await rig.system.sql<{ name: string; type: string }[]>`
    select column_name as name, data_type as type from information_schema.columns
    where table_schema = 'kos' and table_name = ${table} and is_nullable = 'NO' and column_default is null`;
  const values = Object.fromEntries(columns.map(({ name, type }) => [name, name === 'workspace_id' ? workspaceId : anything(name, type, workspaceId)]));
  await rig.system.sql`insert into kos.${rig.system.sql(table)} ${rig.system.sql(values)}`;
}

function anything(column: string, type: string, workspaceId: string): string | number | boolean | Buffer {
  if (column === 'principal_id') return `prn_${workspaceId}`;
  if (type.startsWith('json')) return '{}';
  if (type === 'bytea') return Buffer.alloc(1);
  if (type === 'boolean') return false;
  if (type === 'integer' || type === 'bigint') return 1;
  if (type.startsWith('timestamp')) return '2031-01-01T00:00:00Z';
  return `${column}-${workspaceId}`;
}

describe('row security, as kos_app', () => {
  it('is enabled and forced on every table of a workspace', async () => {
    expect(workspaceTables.length).toBeGreaterThan(15);
    const bound = await rig.system.sql<{ name: string }[]>`
      select relname as name from pg_class where relnamespace = 'kos'::regnamespace and relrowsecurity and relforcerowsecurity order by 1`;
    expect(bound.map(({ name }) => name)).toEqual(workspaceTables);
  });

  it('shows no row of any table while no workspace is set, and after one was', async () => {
    for (const table of workspaceTables) expect([table, (await bare`select 1 from kos.${bare(table)}`).length]).toEqual([table, 0]);
    await bare.begin(async (sql) => {
      await sql`select set_config('kos.workspace_id', ${mine}, true)`;
    });
    for (const table of workspaceTables) expect([table, (await bare`select 1 from kos.${bare(table)}`).length]).toEqual([table, 0]);
  });

  it('shows each workspace its own rows, and of another none', async () => {
    for (const table of workspaceTables) {
      const seen = await rig.database.inWorkspace(mine, ({ sql }) => sql<{ id: string }[]>`select distinct workspace_id as id from kos.${sql(table)}`);
      expect([table, seen.map(({ id }) => id)]).toEqual([table, [mine]]);
    }
  });

  it('lets nobody write, change or remove another workspace’s rows', async () => {
    for (const table of workspaceTables) {
      const attempt = (statement: 'insert' | 'update' | 'delete'): Promise<number> =>
        rig.database
          .inWorkspace(mine, async ({ sql }) => {
            if (statement === 'delete') return (await sql`delete from kos.${sql(table)} where workspace_id = ${theirs}`).count;
            if (statement === 'update') return (await sql`update kos.${sql(table)} set workspace_id = ${theirs}`).count;
            return (await sql`insert into kos.${sql(table)} (workspace_id) values (${theirs})`).count;
          })
          .catch((error: { code?: string }) => {
            // insufficient_privilege: row security, or the right itself is missing.
            expect([table, statement, error.code]).toEqual([table, statement, '42501']);
            return 0;
          });
      for (const statement of ['insert', 'update', 'delete'] as const) expect([table, statement, await attempt(statement)]).toEqual([table, statement, 0]);
    }
    const [left] = await rig.system.sql<{ count: number }[]>`select count(*)::int as count from kos.runs where workspace_id = ${theirs}`;
    expect(left?.count).toBe(1);
  });

  it('keeps the installation’s own tables out of reach', async () => {
    expect(otherTables).toEqual(
      expect.arrayContaining(['principals', 'credentials', 'installation_settings', 'sequencer', 'checkpoints', 'passwords', 'sessions', 'links', 'grants']),
    );
    for (const table of otherTables) await expect(bare`select 1 from kos.${bare(table)}`, table).rejects.toMatchObject({ code: '42501' });
  });

  it('lets the record be written, never rewritten', async () => {
    for (const table of ['audit_entries', 'events', 'plan_versions']) {
      const change = (sql: Sql) => sql`update kos.${sql(table)} set workspace_id = workspace_id`;
      await expect(
        rig.database.inWorkspace(mine, ({ sql }) => change(sql as unknown as Sql)),
        table,
      ).rejects.toMatchObject({ code: '42501' });
      await expect(
        rig.database.inWorkspace(mine, ({ sql }) => sql`delete from kos.${sql(table)}`),
        table,
      ).rejects.toMatchObject({ code: '42501' });
    }
  });
});
