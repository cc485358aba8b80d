import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { expect, test } from 'vitest';
import { identifyProcess } from './process-identity.ts';
import { startPostgres } from './postgres-server.ts';

test('a server that runs but cannot be used is told of, and not left behind', async () => {
  const home = await mkdtemp(join(tmpdir(), 'kos-postgres-'));
  const lines: string[] = [];
  const options = { home, durable: false, onLine: (line: string) => lines.push(line), say: () => undefined };
  try {
    await (await startPostgres(options)).stop();
    lines.length = 0;
    await writeFile(join(home, 'keys', 'postgres-superuser.password'), 'of another home\n');
    await expect(startPostgres(options)).rejects.toMatchObject({ code: 'postgres_not_answering' });
    // The server's own lines begin with its process id: "… [1234] LOG:".
    const pid = Number(/\[(\d+)\]/.exec(lines[0] ?? '')?.[1]);
    expect(pid).toBeGreaterThan(0);
    expect(await identifyProcess(pid)).toBeNull();
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});

test('a refused statement stands in no log: it can hold a password', async () => {
  const home = await mkdtemp(join(tmpdir(), 'kos-postgres-'));
  const lines: string[] = [];
  const server = await startPostgres({ home, durable: false, onLine: (line) => lines.push(line), say: () => undefined });
  const sql = postgres({ ...server.facts, max: 1 });
  try {
    await expect(sql.unsafe(`alter role nobody_of_that_name login password 'hunter2'`)).rejects.toMatchObject({ code: '42704' });
  } finally {
    await sql.end();
    await server.stop();
    await rm(home, { recursive: true, force: true });
  }
  expect(lines).toContainEqual(expect.stringContaining('nobody_of_that_name'));
  expect(lines.join('\n')).not.toContain('hunter2');
});

test.each(['PG_VERSION', 'global/pg_control'])('a database in use that has lost %s is called damaged, with a remedy, and is left as it is', async (file) => {
  const home = await mkdtemp(join(tmpdir(), 'kos-postgres-'));
  const options = { home, durable: false, onLine: () => undefined, say: () => undefined };
  try {
    await (await startPostgres(options)).stop();
    await rm(join(home, 'postgres', file));
    const left = await readdir(home);
    await expect(startPostgres(options)).rejects.toMatchObject({
      code: 'postgres_data_damaged',
      message: expect.stringContaining(`${file} is missing`),
      fix: expect.stringContaining('from a backup'),
    });
    expect(await readdir(home)).toEqual(left);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});
