import { isAbsolute, join } from 'node:path';
import type { Configuration } from '#config';
import { KosError } from '#core/errors.ts';
import { type DatabaseAddress, parseDatabaseUrl } from '#services/database/address.ts';
import type { PreparedDatabase } from '#services/database/prepare.ts';
import type { PartFacts } from '#services/embedded/part.ts';
import { startPostgres } from '#services/embedded/postgres-server.ts';
import { writeJsonFile } from '#services/embedded/run-records.ts';
import { findTemporalBinary } from '#services/embedded/temporal-binary.ts';
import type { TemporalFacts } from '#services/embedded/temporal-server.ts';
import { checkConfiguredTemporal } from './configured-temporal.ts';
import type { Logs } from './log-files.ts';
import type { ListenAddress } from './network.ts';
import { type NodeProgram, defineNodePart } from './node-part.ts';
import { waitUntilReady } from './readiness.ts';
import { type PartDefinition, type SupervisedPart, supervise } from './supervised-part.ts';
import { defineTemporalPart } from './temporal-part.ts';

export interface StackOptions {
  configuration: Configuration;
  address: ListenAddress;
  projectRoot: string;
  /** Inherited by our own programs. */
  environment: Record<string, string | undefined>;
  worker: NodeProgram;
  api: NodeProgram;
  prepareDatabase: (administrator: DatabaseAddress, keysFolder: string) => Promise<PreparedDatabase>;
  logs: Logs;
  /** Tells people, and writes it to the supervisor's log. */
  say: (message: string) => void;
}

export interface Stack {
  /** Resolves once `/readyz` answers 200; when it fails, what was started is stopped again. */
  start: () => Promise<void>;
  /** API, worker, Temporal, Postgres, in this order; at any moment, also while starting. */
  stop: () => Promise<void>;
}

interface TemporalPlace {
  address: string;
  namespace: string;
  /** Empty when it is somebody else's. */
  ports: number[];
}

type Program = 'worker' | 'api';
type PartName = 'postgres' | 'temporal' | Program;

const stopOrder: PartName[] = ['api', 'worker', 'temporal', 'postgres'];
const readyTimeoutMs = 60_000;
/** A part that dies this often before all was ever ready will not get well by itself. */
const deathsBeforeGivingUp = 4;

export function makeStack(options: StackOptions): Stack {
  const { configuration, address, logs, say } = options;
  const { home } = configuration;
  const factsFile = join(home, 'run', 'part-facts.json');
  const parts = new Map<PartName, SupervisedPart<unknown>>();
  /** Aborted by a stop, and by whatever makes a start fail; its reason says which. */
  const abandoned = new AbortController();

  const startPart = async <Facts>(name: PartName, definition: PartDefinition<Facts>, onRestarted?: (facts: Facts) => Promise<void>): Promise<Facts> => {
    abandoned.signal.throwIfAborted();
    let deaths = 0;
    // All of them: on a busy machine a part can live for a while before it dies of the same cause again.
    const onDeath = (how: string): void => {
      deaths += 1;
      if (deaths >= deathsBeforeGivingUp) abandoned.abort(startFailure(`${name} ${how}; it died ${deaths} times. Its last words:\n${logs.recent(name)}`, home));
    };
    const part = supervise(definition, { say, onDeath, ...(onRestarted === undefined ? {} : { onRestarted }) });
    parts.set(name, part);
    const since = performance.now();
    const facts = await part.start();
    logs.of('supervisor').write('info', `${name} started in ${Math.round(performance.now() - since)} ms`);
    return facts;
  };

  const provideDatabase = async (): Promise<PartFacts['database']> => {
    const { url, directUrl } = configuration.database;
    const keys = join(home, 'keys');
    if (url !== undefined) return prepareConfigured(url, directUrl, (administrator) => options.prepareDatabase(administrator, keys));
    const administrator = await startPart('postgres', { name: 'postgres', start: () => startPostgres({ home, onLine: logs.of('postgres').line, say }) });
    abandoned.signal.throwIfAborted();
    return options.prepareDatabase(administrator, keys);
  };

  const provideTemporal = async (onRestarted: (facts: TemporalFacts) => Promise<void>): Promise<TemporalPlace> => {
    const { namespace, address: configured } = configuration.temporal;
    if (configured !== undefined) {
      await checkConfiguredTemporal(configuration.temporal);
      return { address: configured, namespace, ports: [] };
    }
    const binary = await findTemporalBinary({ cache: configuration.cache, environment: options.environment, say, signal: abandoned.signal });
    const definition = defineTemporalPart({ home, binary, namespace, onLine: logs.of('temporal').line, say });
    return placeOf(await startPart('temporal', definition, onRestarted));
  };

  /** Of an embedded database that listens on a port: on Windows, where there is no socket folder. */
  const portsOfOwn = ({ system }: PartFacts['database']): number[] =>
    configuration.database.url === undefined && !isAbsolute(system.host) ? [system.port] : [];

  const writeFacts = (database: PartFacts['database'], temporal: TemporalPlace): Promise<void> => {
    const facts: PartFacts = {
      home,
      host: address.host,
      port: address.port,
      publicUrl: address.publicUrl,
      temporal: { address: temporal.address, namespace: temporal.namespace },
      database,
      ownPorts: [address.port, ...temporal.ports, ...portsOfOwn(database)],
    };
    return writeJsonFile(factsFile, facts);
  };

  const abandonOnFailure = async <Value>(work: Promise<Value>): Promise<Value> => {
    try {
      return await work;
    } catch (error) {
      abandoned.abort(error);
      throw error;
    }
  };

  const startPrograms = async (): Promise<void> => {
    const env = {
      ...options.environment,
      KOS_HOME: home,
      KOS_HOST: address.host,
      KOS_PORT: String(address.port),
      KOS_PUBLIC_URL: address.publicUrl,
      KOS_PART_FACTS: factsFile,
    };
    const startProgram = (name: Program, program: NodeProgram): Promise<null> =>
      startPart(name, defineNodePart({ home, program, cwd: options.projectRoot, env, onLine: logs.of(name).line, say }));
    await startProgram('worker', options.worker);
    await startProgram('api', options.api);
  };

  const start = async (): Promise<void> => {
    let database: PartFacts['database'] | undefined;
    let temporal: TemporalPlace | undefined;
    /** Its inner services have other ports at every start; its own address moves only when another program took that. */
    const onRestarted = async (facts: TemporalFacts): Promise<void> => {
      const before = temporal;
      temporal = placeOf(facts);
      if (database === undefined) return;
      await writeFacts(database, temporal);
      if (temporal.address === before?.address) return;
      say('Temporal had to take another port: worker and API start again.');
      await Promise.all([parts.get('worker')?.restart(), parts.get('api')?.restart()]);
    };
    // Neither needs the other. Both are awaited even when one fails, so that nothing is started behind the back of the clean-up.
    const preparing = abandonOnFailure(provideDatabase());
    const serving = abandonOnFailure(provideTemporal(onRestarted));
    await Promise.allSettled([preparing, serving]);
    abandoned.signal.throwIfAborted();
    database = await preparing;
    temporal ??= await serving;
    await writeFacts(database, temporal);
    await startPrograms();
    const readiness = await waitUntilReady(address, readyTimeoutMs, abandoned.signal);
    abandoned.signal.throwIfAborted();
    if (!readiness.ready) throw startFailure(`not ready after ${readyTimeoutMs / 1_000} s: ${readiness.why}`, home);
  };

  const stop = async (): Promise<void> => {
    abandoned.abort(new KosError({ code: 'stopped', message: 'kOS was stopped.', status: 503 }));
    for (const name of stopOrder) {
      const part = parts.get(name);
      if (part === undefined) continue;
      await part.stop();
      logs.of('supervisor').write('info', `${name} stopped`);
    }
  };

  return {
    stop,
    start: async () => {
      try {
        await start();
      } catch (error) {
        await stop();
        throw error;
      }
    },
  };
}

/**
 * A database of somebody's own can be wrong in many ways; each is told as it tells itself. Locks of a session and LISTEN do not work through a
 * pooler, so preparing goes past it.
 */
async function prepareConfigured(
  url: string,
  directUrl: string | undefined,
  prepare: (administrator: DatabaseAddress) => Promise<PreparedDatabase>,
): Promise<PartFacts['database']> {
  try {
    const usual = parseDatabaseUrl(url);
    if (directUrl === undefined) return await prepare(usual);
    const direct = await prepare(parseDatabaseUrl(directUrl));
    const through = ({ user, password }: DatabaseAddress): DatabaseAddress => ({ ...usual, user, password });
    return { app: through(direct.app), system: through(direct.system), listen: direct.app };
  } catch (cause) {
    if (cause instanceof KosError) throw cause;
    // Of a refused connection to several addresses the code alone says something.
    const { message, code } = cause as NodeJS.ErrnoException;
    throw new KosError({
      code: 'database_unusable',
      message: `The database that DATABASE_URL names cannot be used: ${message || code}.`,
      fix: 'See that it runs, that its login may create roles and schemas, and that DATABASE_URL is right; or unset it to use the embedded one.',
      status: 503,
      cause,
    });
  }
}

function placeOf(facts: TemporalFacts): TemporalPlace {
  return { address: facts.address, namespace: facts.namespace, ports: facts.ownPorts };
}

function startFailure(why: string, home: string): KosError {
  return new KosError({ code: 'start_failed', message: `kOS did not come up: ${why}`, fix: `See the logs in ${join(home, 'logs')}.`, status: 500 });
}
