import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openPool } from '#services/database/connect.ts';
import { type PartFacts, readPartFacts } from '#services/embedded/part.ts';
import { waitUntilGone } from '#services/embedded/process-identity.ts';
import { listeningSockets } from '#tests/rig/listening-sockets.ts';
import { type TinyStack, launchTinyStack, partNames, partProcess, readyText, runningParts, stopTinyStack } from '#tests/rig/tiny-stack.ts';

/** One home through its life, test by test: starts cost seconds, so each test goes on where the one before left it. */
describe('a home through its life', () => {
  let folder: string;
  let home: string;
  let stack: TinyStack;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kos-supervisor-'));
    home = join(folder, 'home');
    // What a kill in the middle of the very first start can leave, and a data folder that nobody finished.
    await mkdir(home, { mode: 0o700 });
    await mkdir(join(home, 'postgres', 'base'), { recursive: true });
    await writeFile(join(home, 'postgres', 'PG_VERSION'), '18\n');
    await mkdir(join(home, 'postgres.initialising-killed', 'data'), { recursive: true });
    stack = launchTinyStack(home);
    await stack.says(readyText);
  });

  afterAll(async () => {
    await stopTinyStack(stack, home);
    await rm(folder, { recursive: true, force: true });
  });

  test('a half-written data folder was replaced, and what was there is kept aside', async () => {
    const names = await readdir(home);
    expect(names.filter((name) => name.startsWith('postgres.unfinished-'))).toHaveLength(1);
    expect(names).not.toContain('postgres.initialising-killed');
    expect(stack.output()).toContain('never finished');
  });

  test('every part runs, and nobody else may look', async () => {
    expect(await runningParts(home)).toEqual([...partNames]);
    expect((await stat(home)).mode & 0o777).toBe(0o700);
    for (const name of ['run', 'keys', 'postgres', 'temporal', 'logs']) expect((await stat(join(home, name))).mode & 0o077, name).toBe(0);
    for (const name of await readdir(join(home, 'keys'))) expect((await stat(join(home, 'keys', name))).mode & 0o077, name).toBe(0);
  });

  test('only a fixed list of ports listens, on the loopback', async () => {
    const sockets = await Promise.all(partNames.map(async (part) => [part, await listeningSockets((await partProcess(home, part)).pid)] as const));
    const { port, ownPorts } = await readFacts(home);
    expect(new Set(sockets.flatMap(([, list]) => list.map(({ address }) => address)))).toEqual(new Set(['127.0.0.1']));
    const ports = Object.fromEntries(sockets.map(([part, list]) => [part, list.map((socket) => socket.port)]));
    expect(ports).toMatchObject({ postgres: [], worker: [], api: [port] });
    // The dev server opens two more between its own services, on loopback ports that nothing can set: history and matching. All five are known.
    expect(ports['temporal']).toHaveLength(5);
    expect(ownPorts).toEqual(expect.arrayContaining([port, ...(ports['temporal'] ?? [])]));
  });

  test('a second start says who holds it, and leaves it alone', async () => {
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(stack.output())?.[0];
    const second = launchTinyStack(home);
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain(`process ${stack.process.pid}`);
    expect(second.output()).toContain(String(url));
    expect(await answersReady(home)).toBe(true);
  });

  test('a start on a port that is taken says so, and starts nothing', async () => {
    const { port } = await readFacts(home);
    const other = join(folder, 'other');
    const second = launchTinyStack(other, { env: { KOS_PORT: String(port) } });
    expect(await second.ended).toBe(1);
    expect(second.output()).toMatch(new RegExp(`Port ${port} .*in use[^]*npm start -- --port`));
    expect(await runningParts(other)).toEqual([]);
  });

  test.each(partNames)('SIGKILL of %s: it runs again, and kOS is ready again', async (part) => {
    const before = await partProcess(home, part);
    process.kill(before.pid, 'SIGKILL');
    await stack.says(`${part} (process ${before.pid}) was killed by SIGKILL`);
    await stack.says(`${part} runs again`);
    expect((await partProcess(home, part)).pid).not.toBe(before.pid);
    await expect.poll(() => answersReady(home), { timeout: 240_000, interval: 50 }).toBe(true);
    // A Temporal that runs again has other inner ports.
    const sockets = await listeningSockets((await partProcess(home, 'temporal')).pid);
    await expect.poll(async () => (await readFacts(home)).ownPorts, { timeout: 10_000 }).toEqual(expect.arrayContaining(sockets.map((socket) => socket.port)));
  });

  test('a Temporal that is frozen answers nobody: it is ended, runs again, and kOS is ready again', async () => {
    const before = await partProcess(home, 'temporal');
    const since = performance.now();
    process.kill(before.pid, 'SIGSTOP');
    const told = `Temporal (process ${before.pid}) lives but has not answered for 20 s`;
    await stack.says(told);
    // It had answered up to one look before it was frozen.
    expect(performance.now() - since).toBeGreaterThan(15_000);
    await stack.says(`temporal (process ${before.pid}) was killed by SIGKILL`);
    await expect.poll(async () => (await partProcess(home, 'temporal')).pid, { timeout: 240_000 }).not.toBe(before.pid);
    await expect.poll(() => runningParts(home), { timeout: 240_000 }).toEqual([...partNames]);
    await expect.poll(() => answersReady(home), { timeout: 240_000, interval: 50 }).toBe(true);
    expect(await readFile(join(home, 'logs', 'supervisor.jsonl'), 'utf8')).toContain(told);
  });

  test('when another program takes the port of a dead Temporal, it moves and worker and API follow', async () => {
    const before = (await readFacts(home)).temporal.address;
    const [temporal, worker, api] = await Promise.all([partProcess(home, 'temporal'), partProcess(home, 'worker'), partProcess(home, 'api')]);
    process.kill(temporal.pid, 'SIGKILL');
    await waitUntilGone(temporal, 5_000);
    const other = createServer().listen(Number(before.split(':')[1]), '127.0.0.1');
    await once(other, 'listening');
    await stack.says('Temporal had to take another port');
    await expect.poll(async () => (await readFacts(home)).temporal.address, { timeout: 240_000 }).not.toBe(before);
    for (const program of [worker, api]) expect(await waitUntilGone(program, 10_000)).toBe(true);
    await expect.poll(() => runningParts(home), { timeout: 240_000 }).toEqual([...partNames]);
    await expect.poll(() => answersReady(home), { timeout: 240_000, interval: 50 }).toBe(true);
    other.close();
  });

  test('SIGKILL of the supervisor: its programs end by themselves, the next start sweeps its servers', async () => {
    const [postgres, temporal, worker, api] = await Promise.all([
      partProcess(home, 'postgres'),
      partProcess(home, 'temporal'),
      partProcess(home, 'worker'),
      partProcess(home, 'api'),
    ]);
    stack.process.kill('SIGKILL');
    await stack.ended;
    for (const program of [worker, api]) expect(await waitUntilGone(program, 5_000)).toBe(true);
    stack = launchTinyStack(home);
    await stack.says(readyText);
    expect(stack.output()).toContain(`Stopped postgres (process ${postgres.pid})`);
    for (const server of [postgres, temporal]) expect(await waitUntilGone(server, 0)).toBe(true);
  });

  test('SIGKILL of all, and their numbers given to other programs: the next start takes over and has the data', async () => {
    await askDatabase(home, 'create table survivors as select 42 as answer');
    const pids = await Promise.all(partNames.map(async (part) => (await partProcess(home, part)).pid));
    for (const pid of [stack.process.pid ?? 0, ...pids]) process.kill(pid, 'SIGKILL');
    await stack.ended;
    // As after a restart of the machine: what the files name now belongs to another program (here: to this one).
    const lock = join(home, 'postgres', 'postmaster.pid');
    await writeFile(lock, (await readFile(lock, 'utf8')).replace(/^\d+/, String(process.pid)));
    const holder = join(home, 'run', 'supervisor.json');
    await writeFile(holder, JSON.stringify({ ...(JSON.parse(await readFile(holder, 'utf8')) as object), pid: process.pid }));
    stack = launchTinyStack(home);
    await stack.says(readyText);
    expect(await askDatabase(home, 'select answer from survivors')).toEqual([{ answer: 42 }]);
  });

  test('SIGTERM ends all parts in order, within 10 s', async () => {
    const since = performance.now();
    stack.process.kill('SIGTERM');
    expect(await stack.ended).toBe(0);
    expect(performance.now() - since).toBeLessThan(10_000);
    expect(await runningParts(home)).toEqual([]);
    const log = (await readFile(join(home, 'logs', 'supervisor.jsonl'), 'utf8')).trim().split('\n');
    const messages = log.map((line) => (JSON.parse(line) as { message: string }).message);
    expect(messages.slice(-4)).toEqual(['api stopped', 'worker stopped', 'temporal stopped', 'postgres stopped']);
  });

  test('copied to where the path is too long for a socket, without its Temporal file: starts and has the data', async () => {
    const moved = join(folder, 'a-long-folder-name-'.repeat(6));
    await cp(home, moved, { recursive: true });
    await rm(home, { recursive: true });
    home = moved;
    for (const name of await readdir(join(home, 'temporal'))) await rm(join(home, 'temporal', name), { recursive: true });
    stack = launchTinyStack(home);
    await stack.says(readyText);
    expect(await askDatabase(home, 'select answer from survivors')).toEqual([{ answer: 42 }]);
    expect((await stat(join(home, 'temporal', 'temporal.db'))).size).toBeGreaterThan(0);
  });
});

describe('a start that cannot be', () => {
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'kos-supervisor-'));
  });
  afterEach(() => rm(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));

  test('on a host that others reach, without https', async () => {
    const stack = launchTinyStack(home, { env: { KOS_HOST: '0.0.0.0' } });
    expect(await stack.ended).toBe(1);
    expect(stack.output()).toContain('KOS_PUBLIC_URL');
  });

  test('with a part that is broken: says its last words and leaves nothing running', async () => {
    const stack = launchTinyStack(home, { words: ['broken-api'] });
    expect(await stack.ended).toBe(1);
    expect(stack.output()).toContain('This part is broken on purpose');
    // Why a start failed stands in the log too, not on the terminal alone.
    const log = (await readFile(join(home, 'logs', 'supervisor.jsonl'), 'utf8')).trim().split('\n');
    expect(JSON.parse(log.at(-1) ?? '')).toMatchObject({ level: 'error', message: expect.stringContaining('did not come up') });
    expect(await runningParts(home)).toEqual([]);
  });

  test('because it is killed on the way, again and again: the next one comes up', async () => {
    for (const moment of ['postgres.initialising-', 'data', 'PG_VERSION', 'pg_control', 'kos-initialised.json']) {
      const stack = launchTinyStack(home);
      await expect.poll(() => filesBelow(home), { timeout: 240_000, interval: 2 }).toContainEqual(expect.stringContaining(moment));
      stack.process.kill('SIGKILL');
      await stack.ended;
    }
    const stack = launchTinyStack(home);
    await stack.says(readyText);
    await stopTinyStack(stack, home);
  });

  test('because it is stopped on the way: leaves nothing running', async () => {
    const stack = launchTinyStack(home);
    await expect.poll(() => runningParts(home), { timeout: 240_000, interval: 5 }).toContain('postgres');
    stack.process.kill('SIGINT');
    expect(await stack.ended).toBe(0);
    expect(await runningParts(home)).toEqual([]);
  });
});

async function filesBelow(folder: string): Promise<string[]> {
  try {
    return await readdir(folder, { recursive: true });
  } catch (error) {
    // Folders come and go while they are read.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

const readFacts = (home: string): Promise<PartFacts> => readPartFacts(join(home, 'run', 'part-facts.json'));

async function askDatabase(home: string, query: string): Promise<unknown> {
  const { database } = await readFacts(home);
  const password = (await readFile(join(home, 'keys', 'postgres-superuser.password'), 'utf8')).trim();
  const sql = openPool({ ...database.system, user: 'kos_superuser', password }, { max: 1, applicationName: 'test' });
  try {
    return [...(await sql.unsafe(query))];
  } finally {
    await sql.end();
  }
}

async function answersReady(home: string): Promise<boolean> {
  const { port } = await readFacts(home);
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    (response) => response.status === 200,
    () => false,
  );
}
