import { createHash, randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { connectDatabase, connectSystemDatabase, type Database, openPool, type Sql, type SystemDatabase } from '#services/database/connect.ts';
import type { PostgresFacts } from '#services/embedded/postgres-server.ts';
import { type PreparedDatabase, prepareDatabase } from '#services/database/prepare.ts';

/** A database of one suite's own, with kOS's roles and tables, on the test run's Postgres. */
export interface TestDatabase {
  addresses: PreparedDatabase;
  /** As `kos_app`. */
  database: Database;
  /** As `kos_system`. */
  system: SystemDatabase;
  /** For what only an administrator may do: look past row security, end sessions. */
  asSuperuser<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result>;
  remove(): Promise<void>;
}

/** Roles belong to the whole server: suites that prepare their databases at once take turns, and share the roles' passwords. Any number does. */
const rolesLock = 7_205_016_099;

export async function makeTestDatabase(superuser: PostgresFacts = inject('servers').postgres): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const keys = join(tmpdir(), `kos-test-roles-${createHash('sha256').update(superuser.password).digest('hex').slice(0, 12)}`);
  const maintenance = openPool(superuser, { max: 1, applicationName: 'kos-test' });
  await maintenance`select pg_advisory_lock(${rolesLock})`;
  await maintenance.unsafe(`create database ${name}`);
  const addresses = await prepareDatabase({ ...superuser, database: name }, keys);
  await maintenance`select pg_advisory_unlock(${rolesLock})`;
  const database = connectDatabase(addresses.app, { max: 20, applicationName: 'kos-test' });
  const system = connectSystemDatabase(addresses.system, { max: 5, applicationName: 'kos-test' });
  return {
    addresses,
    database,
    system,
    asSuperuser: (work) => work(maintenance),
    remove: async () => {
      await Promise.all([database.close(), system.close()]);
      await maintenance.unsafe(`drop database ${name} with (force)`);
      await maintenance.end();
    },
  };
}
