import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface NamespaceOptions {
  binary: string;
  port: number;
  namespace: string;
  /** Where the CLI looks for a person's settings: none are there. */
  home: string;
  timeoutMs: number;
  signal: AbortSignal;
}

/** How long Temporal keeps closed workflows (Postgres keeps the runs). The dev server's own default is 24 h. */
const retention = '168h';

/**
 * Waits until the server answers for the namespace, and sets its retention. By the server's own program rather than the SDK's client:
 * the client would stay in the memory of whoever starts the server, for one call.
 */
export async function prepareNamespace(options: NamespaceOptions): Promise<void> {
  const deadline = performance.now() + options.timeoutMs;
  const env = { HOME: options.home, TEMPORAL_ADDRESS: `127.0.0.1:${options.port}` };
  const args = [
    'operator',
    'namespace',
    'update',
    '--namespace',
    options.namespace,
    '--retention',
    retention,
    '--disable-config-file',
    '--command-timeout',
    '5s',
  ];
  while (!options.signal.aborted) {
    try {
      if (await accepts(options.port)) return void (await run(options.binary, args, { env, timeout: 10_000, signal: options.signal }));
    } catch (error) {
      // The server listens a moment before its namespace answers.
      if (performance.now() > deadline) throw error;
    }
    if (performance.now() > deadline) throw new Error(`nothing listened on port ${options.port} within ${options.timeoutMs / 1_000} s`);
    await sleep(20);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
