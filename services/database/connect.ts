import postgres from 'postgres';
import { KosError } from '#core/errors.ts';
import { idPattern } from '#schemas/ids.ts';
import type { Json } from '#schemas/json.ts';
import type { DatabaseAddress } from './address.ts';
import { Lanes } from './lanes.ts';
import type { Sql, TransactionSql } from './sql.ts';

export type { Sql, TransactionSql } from './sql.ts';

/** One transaction, bound to one workspace. */
export interface Transaction {
  sql: TransactionSql;
  /**
   * Sends the commit right behind the last statement, without waiting for its answer: one round trip less. Only where that statement writes nothing by
   * itself when it must not, for the transaction ends whatever it answers. The work's result stands only when the commit succeeded.
   */
  commit(): void;
}

/** A parameter for a `json` column. `sql.json` is for `jsonb`, which reorders keys and refuses the NUL character. */
export const jsonParameter = (sql: TransactionSql | Sql, value: Json): postgres.Parameter<never> => sql.typed<never>(value as never, 114);

/** The application's door to data: row security shows it one workspace at a time, and nothing without one. */
export interface Database {
  inWorkspace<Result>(workspaceId: string, work: (transaction: Transaction) => Promise<Result>): Promise<Result>;
  /** Answers when the database does. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface ConnectOptions {
  /** Connections at most. */
  max: number;
  applicationName: string;
  /** Connections are renewed after a while, so that none keeps memory for ever; null: never while they are in use. */
  lifetimeSeconds?: null;
}

export function openPool(address: DatabaseAddress, options: ConnectOptions): Sql {
  return postgres({
    host: address.host,
    port: address.port,
    database: address.database,
    username: address.user,
    password: address.password,
    ssl: address.ssl === undefined ? false : address.ssl,
    max: options.max,
    idle_timeout: 60,
    connect_timeout: 5,
    ...(options.lifetimeSeconds === null ? { max_lifetime: null } : {}),
    // A server that comes back is found again quickly; callers decide how long they go on asking.
    backoff: (attempts: number) => Math.min(0.1 * 2 ** attempts, 1),
    types: { bigint: { to: 20, from: [20], serialize: String, parse: Number } },
    onnotice: () => {},
    connection: { application_name: options.applicationName },
  });
}

const workspacePattern = idPattern('workspace');

/** Connects as `kos_app`. */
export function connectDatabase(address: DatabaseAddress, options: ConnectOptions): Database {
  const lanes = new Lanes(Array.from({ length: options.max }, () => openPool(address, { ...options, max: 1, lifetimeSeconds: null })));
  return {
    async inWorkspace(workspaceId, work) {
      if (!workspacePattern.test(workspaceId))
        throw new KosError({ code: 'workspace_invalid', message: `"${workspaceId}" is not a workspace id`, status: 400 });
      // Of the pattern's characters none needs quoting. Bound for this transaction only.
      return await lanes.transact(`begin; select set_config('kos.workspace_id', '${workspaceId}', true)`, (sql, commit) => work({ sql, commit }));
    },
    ping: () => lanes.ping(),
    close: () => lanes.close(3),
  };
}

/** The system's door (`kos_system`, BYPASSRLS): handed to named functions of `services/` only, never to request handlers. */
export interface SystemDatabase {
  sql: Sql;
  close(): Promise<void>;
}

export function connectSystemDatabase(address: DatabaseAddress, options: ConnectOptions): SystemDatabase {
  const sql = openPool(address, options);
  return { sql, close: () => sql.end({ timeout: 3 }) };
}

/** Refuses to go on when the application's login could see past row security. */
export async function assertBoundByRowSecurity(address: DatabaseAddress): Promise<void> {
  const sql = openPool(address, { max: 1, applicationName: 'kos-check' });
  try {
    const [row] = await sql<{ user: string; super: boolean; bypass: boolean; owns: number }[]>`
      select current_user as user, rolsuper as super, rolbypassrls as bypass,
        (select count(*)::int from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'kos' and c.relowner = r.oid) as owns
      from pg_roles r where rolname = current_user`;
    if (row === undefined || row.super || row.bypass || row.owns > 0) {
      throw new KosError({
        code: 'row_security_bypassable',
        message: `The application's database login "${row?.user ?? address.user}" could bypass row security (superuser, BYPASSRLS or owner of tables).`,
        fix: 'Use a login without these rights: kOS makes one called kos_app when its own login may create roles.',
        status: 500,
      });
    }
  } finally {
    await sql.end();
  }
}
