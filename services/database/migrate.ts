import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Sql } from './connect.ts';

const migrationsFolder = fileURLToPath(new URL('./migrations', import.meta.url));
const journalSchema = z.object({ entries: z.array(z.object({ when: z.number() })).min(1) });

/**
 * Brings the tables to the newest migration. Nearly every start finds them there; it is spared loading the library, which costs more than all else that
 * a supervisor does before its first part can start. Newest means what it means to the library: the greatest instant of the journal.
 */
export async function migrateTables(sql: Sql): Promise<void> {
  if ((await lastApplied(sql)) >= (await newest())) return;
  const [{ drizzle }, { migrate }] = await Promise.all([import('drizzle-orm/postgres-js'), import('drizzle-orm/postgres-js/migrator')]);
  // Its notes live in a schema of their own: the first migration makes "kos", which must not be there before.
  await migrate(drizzle(sql), { migrationsFolder, migrationsSchema: 'kos_migrations', migrationsTable: 'migrations' });
}

async function newest(): Promise<number> {
  const journal = journalSchema.parse(JSON.parse(await readFile(join(migrationsFolder, 'meta', '_journal.json'), 'utf8')));
  return Math.max(...journal.entries.map(({ when }) => when));
}

async function lastApplied(sql: Sql): Promise<number> {
  const [known] = await sql<{ notes: string | null }[]>`select to_regclass('kos_migrations.migrations')::text as notes`;
  if ((known?.notes ?? null) === null) return 0;
  const [row] = await sql<{ last: number | null }[]>`select max(created_at) as last from kos_migrations.migrations`;
  return row?.last ?? 0;
}
