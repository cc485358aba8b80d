import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPostgres } from '#services/embedded/postgres-server.ts';
import { newId } from '#services/ids.ts';
import { prepareTemplate } from '#tests/rig/database-template.ts';
import { makeTestDatabase, type TestDatabase } from '#tests/rig/test-database.ts';
import { isPassingFailure } from './failures.ts';

let rig: TestDatabase;
const workspaceId = newId('workspace');
beforeAll(async () => {
  rig = await makeTestDatabase();
  await rig.database.inWorkspace(
    workspaceId,
    ({ sql }) => sql`insert into kos.settings (workspace_id, value, version, updated_by) values (${workspaceId}, '{}', 0, 'test')`,
  );
});
afterAll(() => rig.remove());

/** As when the server dies: every session of kOS ends, whatever it does. */
const loseEverySession = (): Promise<unknown> =>
  rig.asSuperuser(
    (sql) => sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${rig.addresses.app.database} and pid <> pg_backend_pid()`,
  );

/** Every kind of use that kOS makes of its connections, each long enough to be caught in the middle. */
const uses: Record<string, (of?: TestDatabase) => Promise<unknown>> = {
  transaction: (of = rig) =>
    of.database.inWorkspace(workspaceId, async ({ sql }) => {
      await sql`update kos.settings set version = version + 1 where workspace_id = ${workspaceId}`;
      await sql`select pg_sleep(0.01)`;
      await sql`select version, ${'text'.repeat(100)} as filler from kos.settings`;
    }),
  'transaction of the system': (of = rig) =>
    of.system.sql.begin(async (sql) => {
      await sql`select count(*) from kos.runs where id = ${workspaceId}`;
      await sql`select pg_sleep(0.01)`;
      await sleep(5);
      await sql`select ${'text'.repeat(100)} as filler`;
    }),
  query: (of = rig) => of.system.sql`select pg_sleep(0.005), ${workspaceId} as id`,
};

describe.each(Object.entries(uses))('after the loss of every connection, a %s', (_name, use) => {
  it('fails as something that passes, and then works at once', async () => {
    for (let round = 0; round < 3; round += 1) {
      const caught = Promise.allSettled(Array.from({ length: 60 }, () => use()));
      await sleep(8 + round * 2);
      await loseEverySession();
      for (const outcome of await caught) {
        if (outcome.status === 'rejected') expect(isPassingFailure(outcome.reason), String(outcome.reason)).toBe(true);
      }
      const since = performance.now();
      await Promise.all(Array.from({ length: 30 }, () => use()));
      expect(performance.now() - since).toBeLessThan(15_000);
    }
  });
});

it('a transaction whose connection was lost reaches into no other one', async () => {
  const version = async (): Promise<number | undefined> =>
    (await rig.system.sql<{ version: number }[]>`select version from kos.settings where workspace_id = ${workspaceId}`)[0]?.version;
  await rig.system.sql`update kos.settings set version = 100 where workspace_id = ${workspaceId}`;
  const reached = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const lost = rig.system.sql
    .begin(async (sql) => {
      await sql`update kos.settings set version = 1 where workspace_id = ${workspaceId}`;
      reached.resolve();
      await goOn.promise;
      await sql`update kos.settings set version = 2 where workspace_id = ${workspaceId}`;
    })
    .catch((error: unknown) => error);
  await reached.promise;
  await loseEverySession();
  await sleep(50);
  // Enough of them that every place of the pool is in use.
  const others = Array.from({ length: 10 }, () =>
    rig.system.sql.begin(async (sql) => {
      await sql`select pg_advisory_xact_lock(${Math.floor(Math.random() * 1e9)})`;
      goOn.resolve();
      await sleep(100);
      await sql`update kos.settings set version = version + 1 where workspace_id = ${workspaceId}`;
    }),
  );
  await Promise.all(others);
  expect(isPassingFailure(await lost)).toBe(true);
  expect(await version()).toBe(110);
});

describe('a server that is killed and comes back', () => {
  let home: string;
  let server: Awaited<ReturnType<typeof startPostgres>>;
  // Durable: without it the last commits go with a killed server.
  const bringUp = () => startPostgres({ home, onLine: () => undefined, say: () => undefined });

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'kos-lost-'));
    server = await bringUp();
  });
  afterAll(async () => {
    await server.stop();
    await rm(home, { recursive: true, force: true });
  });

  it('is found again at once by everything that asks on', async () => {
    const away = await makeTestDatabase({ postgres: server.facts, template: await prepareTemplate(server.facts, home) });
    await away.database.inWorkspace(
      workspaceId,
      ({ sql }) => sql`insert into kos.settings (workspace_id, value, version, updated_by) values (${workspaceId}, '{}', 0, 'test')`,
    );
    let over = false;
    const askOn = async (use: (of: TestDatabase) => Promise<unknown>): Promise<void> => {
      while (!over) await untilServed(() => use(away));
    };
    const silences: number[] = [];
    const asking = Promise.all(Object.values(uses).flatMap((use) => Array.from({ length: 20 }, () => askOn(use))));
    for (let round = 0; round < 2; round += 1) {
      await sleep(200);
      process.kill(server.identity.pid, 'SIGKILL');
      await server.exited;
      await sleep(300);
      server = await bringUp();
      const backAt = Date.now();
      // Each of them, not only the luckiest.
      await Promise.all(Object.values(uses).flatMap((use) => Array.from({ length: 20 }, () => untilServed(() => use(away)))));
      silences.push(Date.now() - backAt);
    }
    over = true;
    await asking;
    expect(Math.max(...silences)).toBeLessThan(2_500);
    await away.remove();
  });
});

async function untilServed(use: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await use();
      return;
    } catch (error) {
      if (!isPassingFailure(error)) throw error;
      await sleep(20);
    }
  }
}
