import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { DatabaseAddress } from './address.ts';
import { assertBoundByRowSecurity, openPool } from './connect.ts';
import { migrateTables } from './migrate.ts';
import { provideRoles, type RolePasswords } from './roles.ts';

/** Any fixed number does: it names "kOS is preparing this database" among the cluster's advisory locks. */
const preparationLock = 7_205_016_001;

const rolePasswordsSchema = z.object({ app: z.string().min(20), system: z.string().min(20) });

export interface PreparedDatabase {
  app: DatabaseAddress;
  system: DatabaseAddress;
}

/**
 * Provides the three roles, brings the tables to the newest migration under an advisory lock, and checks that the application's login is bound
 * by row security. `keysDirectory` keeps the roles' passwords (mode 0600). Safe to call from several processes at once.
 */
export async function prepareDatabase(administrator: DatabaseAddress, keysDirectory: string): Promise<PreparedDatabase> {
  const sql = openPool(administrator, { max: 1, applicationName: 'kos-prepare' });
  try {
    await sql`select pg_advisory_lock(${preparationLock})`;
    const passwords = await rolePasswords(keysDirectory);
    await provideRoles(sql, administrator, passwords);
    await sql.unsafe('set role kos_owner');
    await migrateTables(sql);
    await sql.unsafe('reset role');
    const app = { ...administrator, user: 'kos_app', password: passwords.app };
    const system = { ...administrator, user: 'kos_system', password: passwords.system };
    await assertBoundByRowSecurity(app);
    return { app, system };
  } finally {
    await sql.end();
  }
}

async function rolePasswords(keysDirectory: string): Promise<RolePasswords> {
  const file = join(keysDirectory, 'database-roles.json');
  const existing = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  const known = existing === undefined ? null : readRolePasswords(existing);
  if (known !== null) return known;
  const passwords = { app: randomBytes(24).toString('hex'), system: randomBytes(24).toString('hex') };
  await mkdir(keysDirectory, { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, JSON.stringify(passwords), { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
  return passwords;
}

/** Null for a file that a power cut left unwritten: roles whose password is not known get a new one. */
function readRolePasswords(text: string): RolePasswords | null {
  try {
    return rolePasswordsSchema.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return null;
    throw error;
  }
}
