import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { DatabaseAddress } from './address.ts';
import { type Sql, assertBoundByRowSecurity, openPool } from './connect.ts';
import { migrateTables } from './migrate.ts';
import { scramVerifier } from './scram.ts';

/** Any fixed number does: it names "kOS is preparing this database" among the cluster's advisory locks. */
const preparationLock = 7_205_016_001;

const rolePasswordsSchema = z.object({ app: z.string().min(20), system: z.string().min(20) });
type RolePasswords = z.infer<typeof rolePasswordsSchema>;

export interface PreparedDatabase {
  app: DatabaseAddress;
  system: DatabaseAddress;
}

/**
 * Makes the three roles, brings the tables to the newest migration under an advisory lock, and checks that the application's login is bound
 * by row security. `keysDirectory` keeps the roles' passwords (mode 0600). Safe to call from several processes at once.
 */
export async function prepareDatabase(administrator: DatabaseAddress, keysDirectory: string): Promise<PreparedDatabase> {
  const sql = openPool(administrator, { max: 1, applicationName: 'kos-prepare' });
  try {
    await sql`select pg_advisory_lock(${preparationLock})`;
    const passwords = await rolePasswords(keysDirectory);
    await makeRoles(sql, passwords);
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

async function makeRoles(sql: Sql, passwords: RolePasswords): Promise<void> {
  await makeRole(sql, 'kos_owner', 'NOLOGIN NOSUPERUSER NOBYPASSRLS');
  await makeRole(sql, 'kos_app', `LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD '${scramVerifier(passwords.app)}'`);
  await makeRole(sql, 'kos_system', `LOGIN NOSUPERUSER BYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD '${scramVerifier(passwords.system)}'`);
  const [database] = await sql<{ name: string }[]>`select current_database() as name`;
  await sql`grant create on database ${sql(database?.name ?? 'kos')} to kos_owner`;
}

/** `attributes` holds only this file's own words and verifiers in base64, so it needs no quoting. */
async function makeRole(sql: Sql, name: string, attributes: string): Promise<void> {
  const [existing] = await sql`select 1 from pg_roles where rolname = ${name}`;
  await sql.unsafe(`${existing === undefined ? 'create' : 'alter'} role ${name} ${attributes}`);
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

/** Null for a file that a power cut left unwritten: the roles get new passwords at every start anyway. */
function readRolePasswords(text: string): RolePasswords | null {
  try {
    return rolePasswordsSchema.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return null;
    throw error;
  }
}
