import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#services/ids.ts';
import { makeTestDatabase, type TestDatabase } from '#tests/rig/test-database.ts';
import { isPassingFailure } from './failures.ts';

const workspaceId = newId('workspace');
let rig: TestDatabase;

beforeAll(async () => {
  rig = await makeTestDatabase();
});
afterAll(async () => await rig.remove());

const settingsOf = (workspace: string) => rig.database.inWorkspace(workspace, ({ sql }) => sql<{ version: number }[]>`select version from kos.settings`);
const insert = (version: number) => (sql: Parameters<Parameters<TestDatabase['database']['inWorkspace']>[1]>[0]['sql']) =>
  sql`insert into kos.settings (workspace_id, value, version, updated_by) values (${workspaceId}, '{}', ${version}, 'test')
    on conflict (workspace_id) do update set version = excluded.version`;

describe('a transaction', () => {
  it('stands whole, or not at all when its work fails', async () => {
    await rig.database.inWorkspace(workspaceId, ({ sql }) => insert(1)(sql));
    const failing = rig.database.inWorkspace(workspaceId, async ({ sql }) => {
      await insert(2)(sql);
      throw new Error('changed its mind');
    });
    await expect(failing).rejects.toThrow('changed its mind');
    expect(await settingsOf(workspaceId)).toEqual([{ version: 1 }]);
  });

  it('whose statement failed does not commit, even when the work took no notice', async () => {
    const careless = rig.database.inWorkspace(workspaceId, async ({ sql }) => {
      await insert(3)(sql);
      await sql`select 1 / 0`.catch(() => undefined);
    });
    await expect(careless).rejects.toThrow(/rolled back/);
    expect(await settingsOf(workspaceId)).toEqual([{ version: 1 }]);
  });

  it('sees its own workspace only, whoever used the connection before', async () => {
    const others = await Promise.all(Array.from({ length: 40 }, (_, index) => settingsOf(index % 2 === 0 ? workspaceId : newId('workspace'))));
    expect(others.map((rows) => rows.length)).toEqual(Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? 1 : 0)));
  });

  it('in which the connection is lost changes nothing, says so, and the next one works', async () => {
    const cut = rig.database.inWorkspace(workspaceId, async ({ sql }) => {
      await insert(4)(sql);
      const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
      await terminate(row?.pid ?? 0);
      await sleep(100);
      await insert(5)(sql);
    });
    const error: unknown = await cut.catch((thrown: unknown) => thrown);
    expect(isPassingFailure(error), String(error)).toBe(true);
    expect(await settingsOf(workspaceId)).toEqual([{ version: 1 }]);
  });

  it('that lost its connection just before the commit is not taken for one that stands', async () => {
    const cut = rig.database.inWorkspace(workspaceId, async ({ sql }) => {
      await insert(6)(sql);
      const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
      await terminate(row?.pid ?? 0);
      await sleep(100);
    });
    const error: unknown = await cut.catch((thrown: unknown) => thrown);
    expect(isPassingFailure(error), String(error)).toBe(true);
    expect(await settingsOf(workspaceId)).toEqual([{ version: 1 }]);
  });

  it('asks for no second connection while it holds one', async () => {
    await expect(rig.database.inWorkspace(workspaceId, () => settingsOf(workspaceId))).rejects.toThrow(/second connection/);
    let later: (() => Promise<unknown>) | undefined;
    await rig.database.inWorkspace(workspaceId, async ({ sql }) => {
      await sql`select 1`;
      later = async () => await settingsOf(workspaceId);
    });
    expect(await later?.()).toEqual([{ version: 1 }]);
  });

  it('cannot be used after its end', async () => {
    let late: (() => Promise<unknown>) | null = null;
    await rig.database.inWorkspace(workspaceId, async ({ sql }) => {
      late = async () => await sql`select 1`;
      await sql`select 1`;
    });
    await expect(async () => await late?.()).rejects.toThrow(/over/);
  });
});

/** Only a superuser may end the session of another login. */
const terminate = (pid: number): Promise<unknown> => rig.asSuperuser((sql) => sql`select pg_terminate_backend(${pid})`);
