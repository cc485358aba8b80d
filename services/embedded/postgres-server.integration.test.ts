import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
