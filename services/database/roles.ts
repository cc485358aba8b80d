import { KosError } from '#core/errors.ts';
import type { DatabaseAddress } from './address.ts';
import { openPool, type Sql } from './connect.ts';
import { scramVerifier } from './scram.ts';

/** Passwords of the two roles that sign in. */
export interface RolePasswords {
  app: string;
  system: string;
}

interface RoleFacts {
  name: string;
  superuser: boolean;
  bypass: boolean;
  login: boolean;
  createDatabase: boolean;
  createRole: boolean;
}

/** What each role must be; attributes that are not named may be as they are. */
const wantedRoles = {
  kos_owner: { login: false, superuser: false, bypass: false },
  kos_app: { login: true, superuser: false, bypass: false, createDatabase: false, createRole: false },
  kos_system: { login: true, superuser: false, bypass: true, createDatabase: false, createRole: false },
} as const satisfies Record<string, Partial<RoleFacts>>;
type RoleName = keyof typeof wantedRoles;

const words = { login: 'LOGIN', superuser: 'SUPERUSER', bypass: 'BYPASSRLS', createDatabase: 'CREATEDB', createRole: 'CREATEROLE' } as const;

/**
 * Makes of the three roles what is missing. Roles that stand as they must are left alone, so that an administrator may have made them, and the login of
 * DATABASE_URL needs no rights but theirs. Throws KosError `database_roles` with the SQL that an administrator runs where that login may not.
 */
export async function provideRoles(sql: Sql, administrator: DatabaseAddress, passwords: RolePasswords): Promise<void> {
  const statements = await missingStatements(sql, administrator, passwords);
  if (statements.length === 0) return;
  try {
    await sql.begin((transaction) => transaction.unsafe(statements.join(';\n')));
  } catch (cause) {
    // insufficient_privilege; everything else is no matter of rights.
    if ((cause as { code?: unknown }).code !== '42501') throw cause;
    throw notAllowed(administrator, statements, cause as Error);
  }
}

async function missingStatements(sql: Sql, administrator: DatabaseAddress, passwords: RolePasswords): Promise<string[]> {
  const known = await readRoles(sql);
  const app = await roleStatement(known, 'kos_app', administrator, passwords.app);
  const system = await roleStatement(known, 'kos_system', administrator, passwords.system);
  const owner = await roleStatement(known, 'kos_owner', administrator, null);
  return [owner, app, system, ...(await ownerStatements(sql, known.has('kos_owner')))].filter((statement) => statement !== null);
}

async function readRoles(sql: Sql): Promise<Map<string, RoleFacts>> {
  const rows = await sql<RoleFacts[]>`
    select rolname as name, rolsuper as superuser, rolbypassrls as bypass, rolcanlogin as login, rolcreatedb as "createDatabase", rolcreaterole as "createRole"
    from pg_roles where rolname in ${sql(Object.keys(wantedRoles))}`;
  return new Map(rows.map((row) => [row.name, row]));
}

/** Null: the role stands as it must. Names and words here are this file's own, and verifiers are base64: nothing needs quoting. */
async function roleStatement(known: Map<string, RoleFacts>, name: RoleName, administrator: DatabaseAddress, password: string | null): Promise<string | null> {
  const facts = known.get(name);
  const wanted = Object.entries(wantedRoles[name]) as [keyof typeof words, boolean][];
  const spell = ([attribute, has]: [keyof typeof words, boolean]): string => (has ? words[attribute] : `NO${words[attribute]}`);
  const setPassword = password === null ? [] : [`PASSWORD '${scramVerifier(password)}'`];
  // A new role has none of these rights unless told: naming them is a superuser's right.
  if (facts === undefined) return `CREATE ROLE ${name} ${[...wanted.filter(([, has]) => has).map(spell), ...setPassword].join(' ') || 'NOLOGIN'}`;
  const wrong = wanted.filter(([attribute, has]) => facts[attribute] !== has).map(spell);
  const signsIn = password === null || !facts.login || (await canSignIn({ ...administrator, user: name, password }));
  const changes = [...wrong, ...(signsIn && wrong.length === 0 ? [] : setPassword)];
  return changes.length === 0 ? null : `ALTER ROLE ${name} ${changes.join(' ')}`;
}

/** That the login may become the owner, and the owner make its schemas. */
async function ownerStatements(sql: Sql, ownerExists: boolean): Promise<string[]> {
  const [row] = await sql<{ login: string; database: string; becomes: boolean; creates: boolean }[]>`
    select quote_ident(session_user) as login, quote_ident(current_database()) as database,
      coalesce((select rolsuper from pg_roles where rolname = session_user), false)
        or (${ownerExists} and pg_has_role(session_user, (select oid from pg_roles where rolname = 'kos_owner'),
            case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end)) as becomes,
      ${ownerExists} and has_database_privilege((select oid from pg_roles where rolname = 'kos_owner'), current_database(), 'CREATE') as creates`;
  if (row === undefined) throw new Error('the database does not say who is signed in');
  return [
    ...(row.becomes ? [] : [`GRANT kos_owner TO ${row.login}`]),
    ...(row.creates === true ? [] : [`GRANT CREATE ON DATABASE ${row.database} TO kos_owner`]),
  ];
}

async function canSignIn(address: DatabaseAddress): Promise<boolean> {
  const sql = openPool(address, { max: 1, applicationName: 'kos-check' });
  try {
    await sql`select 1`;
    return true;
  } catch (error) {
    // invalid_password, invalid_authorization_specification
    if (['28P01', '28000'].includes(String((error as { code?: unknown }).code))) return false;
    throw error;
  } finally {
    await sql.end();
  }
}

/** Verifiers may be shown: what they verify has 192 random bits. */
const notAllowed = ({ user, database }: DatabaseAddress, statements: readonly string[], cause: Error): KosError =>
  new KosError({
    code: 'database_roles',
    message: `The login ${user} of DATABASE_URL may not make the roles that kOS needs: ${cause.message}.`,
    fix: `An administrator of that server (one who may give BYPASSRLS) runs this once, in the database ${database}; then start again:\n\n${statements.map((statement) => `${statement};`).join('\n')}\n`,
    status: 403,
    cause,
  });
