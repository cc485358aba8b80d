import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import type { Sql } from '#services/database/connect.ts';
import type { Installation } from './installation.ts';

const patienceMs = 60_000;

/** As `query` of the installation, and again while the database is away, starts or stops. */
export async function queryPatiently<Row extends object>(installation: Installation, ask: (sql: Sql) => PromiseLike<readonly Row[]>): Promise<readonly Row[]> {
  for (const until = performance.now() + patienceMs; ; await sleep(200)) {
    try {
      return await installation.query(ask);
    } catch (error) {
      if (!isAway(error) || performance.now() > until) throw error;
    }
  }
}

/** Class 08 is connections, 57P is a server that stops or starts; what is no answer of the server at all came from the socket. */
const isAway = (error: unknown): boolean => !(error instanceof postgres.PostgresError) || /^(08|57P)/.test(error.code);
