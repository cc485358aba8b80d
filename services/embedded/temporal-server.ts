import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { KosError } from '#core/errors.ts';
import { startChild } from './child-process.ts';
import { stablePorts } from './ports.ts';
import type { RunningServer } from './postgres-server.ts';
import { forgetPart, recordPart, sweepPart } from './run-records.ts';
import { prepareNamespace } from './temporal-namespace.ts';
import { temporalArguments, temporalMemory, temporalPortNames, temporalStopSteps } from './temporal-settings.ts';

export interface TemporalServerOptions {
  home: string;
  /** From findTemporalBinary. */
  binary: string;
  namespace: string;
  onLine: (line: string) => void;
  say: (message: string) => void;
  /** False only in tests. */
  durable?: boolean;
}

export interface TemporalFacts {
  address: string;
  namespace: string;
  httpAddress: string;
  metricsAddress: string;
}

const readyTimeoutMs = 60_000;

/** Starts the embedded Temporal server of this `$KOS_HOME` and waits until its namespace answers. Without its file it starts empty. */
export async function startTemporal(options: TemporalServerOptions): Promise<RunningServer<TemporalFacts>> {
  const swept = await sweepPart(options.home, 'temporal', temporalStopSteps);
  if (swept !== null) options.say(`Stopped the Temporal server that an earlier start had left behind (process ${swept}).`);
  const folder = join(options.home, 'temporal');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const ports = await stablePorts(options.home, temporalPortNames);
  const lastLines: string[] = [];
  const child = await startChild({
    name: 'Temporal',
    file: options.binary,
    args: temporalArguments({ databaseFile: 'temporal.db', namespace: options.namespace, ports, durable: options.durable ?? true }),
    cwd: folder,
    // HOME is where it looks for a person's settings: it has none here.
    env: { ...temporalMemory, HOME: folder, TZ: 'UTC' },
    onLine: (line) => {
      lastLines.push(line);
      if (lastLines.length > 20) lastLines.shift();
      options.onLine(line);
    },
  });
  await recordPart(options.home, 'temporal', child.identity);
  const facts: TemporalFacts = {
    address: `127.0.0.1:${ports.temporal}`,
    namespace: options.namespace,
    httpAddress: `127.0.0.1:${ports.temporalHttp}`,
    metricsAddress: `127.0.0.1:${ports.temporalMetrics}`,
  };
  const ended = new AbortController();
  void child.exited.then(() => ended.abort());
  try {
    await prepareNamespace({
      binary: options.binary,
      port: ports.temporal,
      namespace: options.namespace,
      home: folder,
      timeoutMs: readyTimeoutMs,
      signal: ended.signal,
    });
    ended.signal.throwIfAborted();
  } catch (cause) {
    await child.stop(temporalStopSteps);
    throw new KosError({
      code: 'temporal_not_started',
      message: `The embedded Temporal server did not start: ${lastLines.at(-1) ?? (cause as Error).message}`,
      fix: `See ${join(options.home, 'logs', 'temporal.jsonl')}.`,
      status: 500,
      cause,
    });
  }
  return {
    facts,
    identity: child.identity,
    exited: child.exited,
    stop: async () => {
      await child.stop(temporalStopSteps);
      await forgetPart(options.home, 'temporal');
    },
  };
}
