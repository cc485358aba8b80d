import { mkdir } from 'node:fs/promises';
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { readJsonFile, writeJsonFile } from './run-records.ts';

/**
 * Below the range that systems hand out to outgoing connections (from 32768 on Linux, 49152 elsewhere): a client that knocks again and
 * again at a port of that range while its server is down can be given the very same port, and then it connects to itself and holds it.
 */
const firstPort = 20_000;
const lastPort = 32_000;

/** Whether nothing listens on this port yet. */
export async function isPortFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
      else reject(error);
    });
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A free port that is none of `taken`. */
export async function findFreePort(host = '127.0.0.1', taken: number[] = []): Promise<number> {
  const port = randomInt(firstPort, lastPort);
  return !taken.includes(port) && (await isPortFree(port, host)) ? port : findFreePort(host, taken);
}

/**
 * The same ports at every start, so that whoever holds a connection string keeps it: chosen once, kept in `$KOS_HOME/run/ports.json`,
 * chosen anew when another program has taken one.
 */
export async function stablePorts<Name extends string>(home: string, names: readonly Name[]): Promise<Record<Name, number>> {
  const file = join(home, 'run', 'ports.json');
  const known = portsIn(await readJsonFile(file));
  const chosen: Record<string, number> = { ...known };
  for (const name of names) {
    const before = known[name];
    chosen[name] = before !== undefined && (await isPortFree(before)) ? before : await findFreePort('127.0.0.1', Object.values(chosen));
  }
  await mkdir(join(home, 'run'), { recursive: true, mode: 0o700 });
  await writeJsonFile(file, chosen);
  return chosen;
}

function portsIn(value: unknown): Record<string, number> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, number] => Number.isInteger(entry[1])));
}
