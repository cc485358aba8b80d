import type { Socket } from 'node:net';
import postgres from 'postgres';
import { KosError } from '#core/errors.ts';
import { idPattern } from '#schemas/ids.ts';
import type { Json } from '#schemas/json.ts';
import type { DatabaseAddress } from './address.ts';
import { Lanes } from './lanes.ts';
import { connectSocket, type RenewedPool, renewedPool } from './renewed-pool.ts';
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
  /** Connections end after a while, so that none keeps memory for ever; those of transactions never while the server lets a transaction idle (60 s). */
  forTransactions?: true;
}

/** A pool for queries. For LISTEN see openListeningPool; for transactions connectDatabase and connectSystemDatabase. */
export const openPool = (address: DatabaseAddress, options: ConnectOptions): Sql => openRenewedPool(address, options).sql;

function openRenewedPool(address: DatabaseAddress, options: ConnectOptions): RenewedPool {
  // A transaction has its connection for itself.
  return renewedPool(options.forTransactions === true ? 0 : 1, (makeSocket) => {
    const socket = (): Socket => connectSocket(makeSocket(), address.host, address.port);
    // `socket` is an option of postgres.js that its types leave out.
    const withSocket = { ...poolOptions(address, options), socket };
    return postgres(withSocket);
  });
}

/** LISTEN comes back by itself in a connection that postgres.js keeps for it, and no other query leaves anything there. */
export const openListeningPool = (address: DatabaseAddress, applicationName: string): Sql => postgres(poolOptions(address, { max: 1, applicationName }));

function poolOptions(address: DatabaseAddress, options: ConnectOptions) {
  return {
    host: address.host,
    port: address.port,
    database: address.database,
    username: address.user,
    password: address.password,
    ssl: address.ssl === undefined ? false : address.ssl,
    max: options.max,
    idle_timeout: options.forTransactions === true ? 90 : 60,
    connect_timeout: 5,
    ...(options.forTransactions === true ? { max_lifetime: null } : {}),
    // Seconds. A server that comes back is found again quickly; callers decide how long they go on asking.
    backoff: (attempts: number) => Math.min(0.05 * 2 ** attempts, 0.25),
    // Asking each new session for its array types costs a round trip, and the answer's loss ends the process (3.4.9, fetchArrayTypes). So arrays travel as JSON.
    fetch_types: false,
    types: { bigint: { to: 20, from: [20], serialize: String, parse: Number } },
    onnotice: () => {},
    connection: { application_name: options.applicationName },
  };
}

const openLanes = (address: DatabaseAddress, options: ConnectOptions): Lanes =>
  new Lanes(Array.from({ length: options.max }, () => openRenewedPool(address, { ...options, max: 1, forTransactions: true })));

const workspacePattern = idPattern('workspace');

/** Connects as `kos_app`. */
export function connectDatabase(address: DatabaseAddress, options: ConnectOptions): Database {
  const lanes = openLanes(address, options);
  return {
    async inWorkspace(workspaceId, work) {
      if (!workspacePattern.test(workspaceId))
        throw new KosError({ code: 'workspace_invalid', message: `"${workspaceId}" is not a workspace id`, status: 400 });
      // Of the pattern's characters none needs quoting. Bound for this transaction only.
      return await lanes.transact(`begin; set local kos.workspace_id = '${workspaceId}'`, (sql, commit) => work({ sql, commit }));
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
  const pool = openPool(address, options);
  const lanes = openLanes(address, options);
  // postgres.js lets what is left of a transaction whose connection was lost (its roll-back, at least) loose on the next one there (porsager/postgres#1216).
  const begin = (work: (sql: TransactionSql) => Promise<unknown>): Promise<unknown> => lanes.transact('begin', work);
  const sql = new Proxy(pool, { get: (target, name) => (name === 'begin' ? begin : (Reflect.get(target, name) as unknown)) });
  return {
    sql,
    close: async () => {
      await Promise.all([pool.end({ timeout: 3 }), lanes.close(3)]);
    },
  };
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
