import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KosError } from '#core/errors.ts';
import { type PostgresFacts, type RunningServer, startPostgres } from '#services/embedded/postgres-server.ts';
import type { DatabaseAddress } from './address.ts';
import { openPool, type Sql } from './connect.ts';
import { prepareDatabase } from './prepare.ts';

// Roles belong to a whole server, so this suite has one of its own.
let folder: string;
let server: RunningServer<PostgresFacts>;
let superuser: Sql;
let keys: string;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kos-roles-'));
  server = await startPostgres({ home: folder, durable: false, onLine: () => undefined, say: () => undefined });
  superuser = openPool(server.facts, { max: 1, applicationName: 'test' });
});
afterAll(async () => {
  await superuser.end();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A database and its owner, who has these attributes and no more. */
async function makeDatabase(attributes = ''): Promise<DatabaseAddress> {
  count += 1;
  const [database, user, password] = [`own_${count}`, `"Owner ${count}"`, 'plain'];
  await superuser.unsafe(`create role ${user} login ${attributes} password '${password}'`);
  await superuser.unsafe(`create database ${database} owner ${user}`);
  return { ...server.facts, database, user: `Owner ${count}`, password };
}

/** As an administrator who was sent what the refusal says. */
async function runAsAdministrator(database: string, fix: string): Promise<string[]> {
  const statements = fix.slice(fix.indexOf('\n\n')).trim();
  const sql = openPool({ ...server.facts, database }, { max: 1, applicationName: 'administrator' });
  await sql.unsafe(statements);
  await sql.end();
  return statements.split(';\n');
}

async function refusalOf(work: Promise<unknown>): Promise<KosError & { fix: string }> {
  const thrown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(thrown instanceof KosError) || thrown.fix === null) throw new Error(`not refused: ${String(thrown)}`);
  return thrown as KosError & { fix: string };
}

beforeEach(async () => {
  keys = await mkdtemp(join(folder, 'keys-'));
  for (const { datname } of await superuser<{ datname: string }[]>`select datname from pg_database where datname like 'own_%'`)
    await superuser.unsafe(`drop database ${datname} with (force)`);
  for (const name of ['kos_app', 'kos_system', 'kos_owner']) await superuser.unsafe(`drop role if exists ${name}`);
});

describe('a login that may make no roles', () => {
  it('is told the SQL that an administrator runs, and after that needs nobody', async () => {
    const address = await makeDatabase();
    const refusal = await refusalOf(prepareDatabase(address, keys));
    expect(refusal).toMatchObject({ code: 'database_roles', message: expect.stringContaining(address.user) });
    expect(refusal.fix).not.toContain('NOSUPERUSER');
    const statements = await runAsAdministrator(address.database, refusal.fix);
    expect(statements.map((statement) => statement.replace(/ PASSWORD.*/, ''))).toEqual([
      'CREATE ROLE kos_owner NOLOGIN',
      'CREATE ROLE kos_app LOGIN',
      'CREATE ROLE kos_system LOGIN BYPASSRLS',
      `GRANT kos_owner TO "${address.user}"`,
      `GRANT CREATE ON DATABASE ${address.database} TO kos_owner;`,
    ]);
    for (let start = 0; start < 2; start += 1) {
      const { app, system } = await prepareDatabase(address, keys);
      expect([app.user, system.user]).toEqual(['kos_app', 'kos_system']);
    }
  });

  it('is told what is wrong with roles that are there, and only that', async () => {
    const address = await makeDatabase();
    await runAsAdministrator(address.database, (await refusalOf(prepareDatabase(address, keys))).fix);
    await superuser.unsafe('alter role kos_app superuser; alter role kos_system nobypassrls');
    const wrong = await refusalOf(prepareDatabase(address, keys));
    expect((await runAsAdministrator(address.database, wrong.fix)).map((statement) => statement.replace(/ PASSWORD.*/, ''))).toEqual([
      'ALTER ROLE kos_app NOSUPERUSER',
      'ALTER ROLE kos_system BYPASSRLS',
    ]);
    await prepareDatabase(address, keys);
  });

  it('whose home is new, with new passwords, is told so', async () => {
    const address = await makeDatabase();
    await runAsAdministrator(address.database, (await refusalOf(prepareDatabase(address, keys))).fix);
    await prepareDatabase(address, keys);
    const elsewhere = await mkdtemp(join(folder, 'keys-'));
    const other = await refusalOf(prepareDatabase(address, elsewhere));
    expect(other.fix).toMatch(/ALTER ROLE kos_app PASSWORD '.*;\nALTER ROLE kos_system PASSWORD '/);
    await runAsAdministrator(address.database, other.fix);
    await prepareDatabase(address, elsewhere);
  });
});

it('a login that may make roles, and give BYPASSRLS, is no superuser and needs nobody', async () => {
  const address = await makeDatabase('createrole bypassrls');
  const elsewhere = await mkdtemp(join(folder, 'keys-'));
  for (const place of [keys, keys, elsewhere]) expect((await prepareDatabase(address, place)).app.user).toBe('kos_app');
});

it('a superuser mends what is wrong by itself', async () => {
  const address = { ...server.facts, database: (await makeDatabase()).database };
  await prepareDatabase(address, keys);
  await superuser.unsafe("alter role kos_app superuser password 'another'; alter role kos_owner login");
  await prepareDatabase(address, keys);
  const roles = await superuser`select rolname, rolsuper, rolcanlogin from pg_roles where rolname like 'kos_%' and rolname <> 'kos_superuser' order by rolname`;
  expect(roles.map((role) => Object.values(role))).toEqual([
    ['kos_app', false, true],
    ['kos_owner', false, false],
    ['kos_system', false, true],
  ]);
});

it('several starts at once prepare one database once: all agree on its logins, and each migration stands there once', async () => {
  const address = { ...server.facts, database: (await makeDatabase()).database };
  const prepared = await Promise.all(Array.from({ length: 4 }, () => prepareDatabase(address, keys)));
  expect(new Set(prepared.map(({ app, system }) => `${app.password} ${system.password}`)).size).toBe(1);
  const sql = openPool(address, { max: 1, applicationName: 'test' });
  const applied = await sql<{ hash: string }[]>`select hash from kos_migrations.migrations`;
  await sql.end();
  expect(applied.length).toBeGreaterThan(10);
  expect(new Set(applied.map(({ hash }) => hash)).size).toBe(applied.length);
});
