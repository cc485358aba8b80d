import { join } from 'node:path';
import { openPool } from '#services/database/connect.ts';
import { type PreparedDatabase, prepareDatabase } from '#services/database/prepare.ts';
import type { PostgresFacts } from '#services/embedded/postgres-server.ts';

const name = 'test_template';

/**
 * A database with kOS's roles and tables that nobody uses: to copy it spares every suite the migrations. Once for a server, whose roles they are.
 * `home`: where the roles' passwords are kept.
 */
export async function prepareTemplate(superuser: PostgresFacts, home: string): Promise<PreparedDatabase> {
  const sql = openPool(superuser, { max: 1, applicationName: 'kos-test' });
  try {
    await sql.unsafe(`create database ${name}`);
    return await prepareDatabase({ ...superuser, database: name }, join(home, 'keys'));
  } finally {
    await sql.end();
  }
}
