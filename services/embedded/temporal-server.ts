import { chmod, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { KosError } from '#core/errors.ts';
import { startChild } from './child-process.ts';
import { stablePorts } from './ports.ts';
import type { RunningServer } from './postgres-server.ts';
import { forgetPart, recordPart, sweepPart } from './run-records.ts';
import { prepareNamespace } from './temporal-namespace.ts';
import { listenForServicePorts } from './temporal-service-ports.ts';
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
  /** In tests: dynamic configuration as a server elsewhere may have it. */
  instead?: Record<string, number | boolean | string>;
}

export interface TemporalFacts {
  address: string;
  namespace: string;
  /** Where it answers HTTP. */
  httpPort: number;
  /** Every port that it listens on, those of its inner services too. */
  ownPorts: number[];
}

const readyTimeoutMs = 60_000;

/** A port that was free a moment ago may be taken by the time the server asks for it, as when two homes that were copied start at once. */
const triesForPorts = 3;

/** Starts the embedded Temporal server of this `$KOS_HOME` and waits until its namespace answers. Without its file it starts empty. */
export async function startTemporal(options: TemporalServerOptions): Promise<RunningServer<TemporalFacts>> {
  const swept = await sweepPart(options.home, 'temporal', temporalStopSteps);
  if (swept !== null) options.say(`Stopped the Temporal server that an earlier start had left behind (process ${swept}).`);
  const folder = await prepareFolder(options.home);
  for (let tries = 1; ; tries += 1) {
    const started = await tryToStart(options, folder);
    if (!('lostPort' in started)) return started;
    if (started.damage !== null && tries === 1) {
      await setAside(options, folder, started.damage);
      continue;
    }
    if (started.lostPort === null || tries === triesForPorts) throw notStarted(options.home, started);
  }
}

async function prepareFolder(home: string): Promise<string> {
  const folder = join(home, 'temporal');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  return folder;
}

/** What SQLite says of a file that is none of its own, is broken, or lost what was in it. */
const damagePattern = /database disk image is malformed|file is not a database|no such table: \w+/;

/** Its file promises only that work goes on; what the work is stands in Postgres, from which every open run is started again. */
async function setAside({ home, say }: TemporalServerOptions, folder: string, damage: string): Promise<void> {
  const kept = `${folder}.damaged-${new Date().toISOString().replaceAll(':', '-')}`;
  await rename(folder, kept);
  await prepareFolder(home);
  say(`Temporal's file is damaged (${damage}). It starts with a new one, and every open run goes on from the database; the old one is kept as ${kept}.`);
}

interface NotStarted {
  /** What is wrong with its file; null: nothing that it told. */
  damage: string | null;
  /** What the server said of a port that it could not have; the trace of a panic may follow. */
  lostPort: string | null;
  lastLine: string | undefined;
  cause: Error;
}

function notStarted(home: string, { lostPort, lastLine, cause }: NotStarted): KosError {
  return new KosError({
    code: 'temporal_not_started',
    message: `The embedded Temporal server did not start: ${lostPort ?? lastLine ?? cause.message}`,
    fix: `See ${join(home, 'logs', 'temporal.jsonl')}.`,
    status: 500,
    cause,
  });
}

async function tryToStart(options: TemporalServerOptions, folder: string): Promise<RunningServer<TemporalFacts> | NotStarted> {
  const ports = await stablePorts(options.home, temporalPortNames);
  let lostPort: string | null = null;
  let damage: string | null = null;
  let lastLine: string | undefined;
  const services = listenForServicePorts(options.onLine);
  const child = await startChild({
    name: 'Temporal',
    file: options.binary,
    args: temporalArguments({
      databaseFile: 'temporal.db',
      namespace: options.namespace,
      ports,
      durable: options.durable ?? true,
      instead: options.instead ?? {},
    }),
    cwd: folder,
    // HOME is where it looks for a person's settings: it has none here.
    env: { ...temporalMemory, HOME: folder, TZ: 'UTC' },
    onLine: (line) => {
      lastLine = line;
      if (line.includes('address already in use')) lostPort ??= line;
      damage ??= damagePattern.exec(line)?.[0] ?? null;
      services.onLine(line);
    },
  });
  await recordPart(options.home, 'temporal', child.identity);
  const ended = new AbortController();
  void child.exited.then(() => ended.abort());
  try {
    const { namespace, binary } = options;
    await prepareNamespace({ binary, port: ports.temporal, namespace, home: folder, timeoutMs: readyTimeoutMs, signal: ended.signal });
    ended.signal.throwIfAborted();
  } catch (cause) {
    await child.stop(temporalStopSteps);
    return { lostPort, damage, lastLine, cause: cause as Error };
  }
  const servicePorts = services.ports();
  if (servicePorts.length === 0) {
    options.say(
      'This Temporal server does not say on which ports its inner services listen: plans are kept from the ports that kOS gave it, but not from those.',
    );
  }
  return {
    facts: {
      address: `127.0.0.1:${ports.temporal}`,
      namespace: options.namespace,
      httpPort: ports.temporalHttp,
      ownPorts: [...new Set([...Object.values(ports), ...servicePorts])],
    },
    identity: child.identity,
    exited: child.exited,
    stop: async () => {
      await child.stop(temporalStopSteps);
      await forgetPart(options.home, 'temporal');
    },
  };
}
