import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { readJsonFile, writeJsonFile } from './run-records.ts';

/** Whether nothing listens on this port yet. Port 0 is always free. */
export async function isPortFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return (await tryPort(port, host)) !== null;
}

export async function findFreePort(host = '127.0.0.1'): Promise<number> {
  const port = await tryPort(0, host);
  if (port === null) throw new Error(`The system gave no free port on ${host}.`);
  return port;
}

/**
 * The same port at every start, so that whoever holds a connection string keeps it: chosen once, kept in `$KOS_HOME/run/ports.json`,
 * chosen anew when another program has taken it.
 */
export async function stablePorts<Name extends string>(home: string, names: readonly Name[]): Promise<Record<Name, number>> {
  const file = join(home, 'run', 'ports.json');
  const known = portsIn(await readJsonFile(file));
  const chosen: Record<string, number> = { ...known };
  for (const name of names) {
    const before = known[name];
    chosen[name] = before !== undefined && (await isPortFree(before)) ? before : await findPortOutside(Object.values(chosen));
  }
  await mkdir(join(home, 'run'), { recursive: true, mode: 0o700 });
  await writeJsonFile(file, chosen);
  return chosen as Record<Name, number>;
}

async function findPortOutside(taken: number[]): Promise<number> {
  const port = await findFreePort();
  return taken.includes(port) ? findPortOutside(taken) : port;
}

function portsIn(value: unknown): Record<string, number> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, number] => Number.isInteger(entry[1])));
}

function tryPort(port: number, host: string): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(null);
      else reject(error);
    });
    server.listen({ port, host, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : null));
    });
  });
}
