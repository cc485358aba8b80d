import type postgres from 'postgres';

/** `bigint` columns arrive as numbers: counts, sequence numbers and micros stay far below 2^53. */
type Types = { bigint: number };
export type Sql = postgres.Sql<Types>;
export type TransactionSql = postgres.TransactionSql<Types>;
