import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { connectDatabase, connectSystemDatabase, type Database, openPool, type Sql, type SystemDatabase } from '#services/database/connect.ts';
import type { PreparedDatabase } from '#services/database/prepare.ts';
import type { TestServers } from './servers.ts';

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

export async function makeTestDatabase({ postgres, template }: Pick<TestServers, 'postgres' | 'template'> = inject('servers')): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const maintenance = openPool(postgres, { max: 1, applicationName: 'kos-test' });
  await maintenance.unsafe(`create database ${name} template ${template.app.database}`);
  const addresses: PreparedDatabase = { app: { ...template.app, database: name }, system: { ...template.system, database: name } };
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
