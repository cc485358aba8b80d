import { connect } from 'node:net';
import type { Configuration } from '#config';
import { KosError } from '#core/errors.ts';
import { readTemporalSecurity } from '#services/temporal/security.ts';

const connectTimeoutMs = 10_000;

/** Before anything is started on it: a Temporal of somebody else that has a wrong address, does not answer, or whose certificates cannot be read, is told of plainly. */
export async function checkConfiguredTemporal({ address = '', security }: Configuration['temporal']): Promise<void> {
  const parts = /^(?:\[(?<ipv6>[^\]]+)\]|(?<name>[^:/\s]+)):(?<port>\d{1,5})$/.exec(address)?.groups;
  const host = parts?.['ipv6'] ?? parts?.['name'];
  const port = Number(parts?.['port']);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new KosError({
      code: 'temporal_address',
      message: `TEMPORAL_ADDRESS is "${address}", which is not host:port.`,
      fix: 'Write it as the temporal command takes it, e.g. temporal.example.com:7233, or unset it to use the embedded one.',
    });
  }
  await readTemporalSecurity(security);
  const why = await whyUnreachable(host, port);
  if (why === null) return;
  throw new KosError({
    code: 'temporal_unreachable',
    message: `No Temporal can be reached at ${address}, which TEMPORAL_ADDRESS names: ${why}.`,
    fix: 'See that it runs and that this machine may reach it, or unset TEMPORAL_ADDRESS to use the embedded one.',
    status: 503,
  });
}

/** Null: somebody listens there. */
function whyUnreachable(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: connectTimeoutMs });
    const answer = (why: string | null): void => {
      socket.destroy();
      resolve(why);
    };
    socket.once('connect', () => answer(null));
    socket.once('timeout', () => answer(`no connection within ${connectTimeoutMs / 1_000} s`));
    // Of a refused connection to several addresses the code alone says something.
    socket.once('error', (error: NodeJS.ErrnoException) => answer(error.message || (error.code ?? 'no connection')));
  });
}
