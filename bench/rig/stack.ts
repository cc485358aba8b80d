import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import pino from 'pino';
import { environment, projectRoot, readConfiguration } from '#config';
import { createArtifactStore } from '#services/artifacts/file-store.ts';
import { connectDatabase, connectSystemDatabase } from '#services/database/connect.ts';
import { prepareDatabase } from '#services/database/prepare.ts';
import { type AcceptRequest, acceptRun } from '#services/runs/accept.ts';
import { type SendRequest, sendSignal } from '#services/signals/send.ts';
import { startDuties } from '#services/duties/start.ts';
import { createEvaluator } from '#services/expression/evaluator.ts';
import type { PartFacts } from '#services/embedded/part.ts';
import { startPostgres } from '#services/embedded/postgres-server.ts';
import { findTemporalBinary } from '#services/embedded/temporal-binary.ts';
import { startTemporal } from '#services/embedded/temporal-server.ts';
import { startSequencer } from '#services/events/sequencer.ts';
import { openSigningIdentity } from '#services/identity/signing-key.ts';
import { openInstallation } from '#services/installation/installation.ts';
import { createSealing } from '#services/sealing/sealing.ts';
import { createDataConverter } from '#services/temporal/data-converter.ts';
import { connectRunWorkflows } from '#services/temporal/run-workflows.ts';
import { makeServersFolder } from '#tests/rig/servers.ts';
import { workerProgram } from '#workers/supervisor/programs.ts';
import { type Dbos, startDbos } from './dbos.ts';
import { startProgram, type Program } from './program.ts';

export const floorTaskQueue = 'floor';

/** Flags of the worker's Node, as the supervisor gives them. All workers get the same. */
const workerFlags = workerProgram.nodeOptions;

export type Stack = Awaited<ReturnType<typeof startStack>>;

/**
 * What production runs, in a folder of its own: durable Postgres and Temporal, the product's worker, and, in this process, what the API's process does
 * besides answering (outbox, reconciler, pruning, sequencer). Beside it the floor's worker, with the same options on the same server.
 */
export async function startStack(options: { workerFlags: string[]; say: (line: string) => void }) {
  const home = await makeServersFolder('kos-bench-');
  const { cache } = readConfiguration(environment);
  const ignore = (): void => undefined;
  const [postgres, temporal] = await Promise.all([
    startPostgres({ home, onLine: ignore, say: options.say }),
    findTemporalBinary({ cache, environment, say: options.say }).then((binary) =>
      startTemporal({ home, binary, namespace: 'default', onLine: ignore, say: options.say }),
    ),
  ]);
  const { address, namespace } = temporal.facts;
  const keys = join(home, 'keys');
  const addresses = await prepareDatabase(postgres.facts, keys);
  const database = connectDatabase(addresses.app, { max: 30, applicationName: 'kos-bench' });
  const system = connectSystemDatabase(addresses.system, { max: 8, applicationName: 'kos-bench' });
  const signing = openSigningIdentity({ directory: keys });
  const { owner, signer } = await openInstallation(system, signing);
  const sealing = await createSealing({ directory: keys, purpose: 'payload' });
  const log = pino({ level: 'silent' });

  const factsFile = join(home, 'run', 'part-facts.json');
  const facts: PartFacts = {
    home,
    host: '127.0.0.1',
    port: 1,
    publicUrl: 'http://127.0.0.1:1',
    temporal: { address, namespace },
    database: addresses,
    ownPorts: [],
  };
  await mkdir(join(home, 'workspace'), { recursive: true });
  await writeFile(factsFile, JSON.stringify(facts), { mode: 0o600 });
  const startWorker = (): Promise<Program> =>
    startProgram({
      name: 'worker',
      args: [...workerFlags, ...options.workerFlags, workerProgram.file],
      // As `npm start` sets it: compiled code is kept between starts.
      env: { NODE_COMPILE_CACHE: join(cache, 'compiled'), ...environment, KOS_HOME: home, KOS_PART_FACTS: factsFile },
      ready: 'worker: polling',
    });
  const floorWorker = await startProgram({
    name: 'floor worker',
    args: [...workerFlags, ...options.workerFlags, join(projectRoot, 'bench', 'floor', 'worker.ts'), address, namespace, floorTaskQueue],
    env: environment,
    ready: 'floor: polling',
  });
  let worker = await startWorker();
  // Only the figures that are held against it pay for it.
  let dbos: Promise<Dbos> | null = null;

  const workflows = connectRunWorkflows({ address, namespace, sealing });
  const artifacts = createArtifactStore({ directory: join(home, 'artifacts') });
  const evaluator = createEvaluator();
  const accepting = { database, validateInput: evaluator.validateInput, evaluate: evaluator.evaluate };
  const bulk = {
    acceptRun: (request: AcceptRequest) => acceptRun(accepting, request),
    sendSignal: (request: SendRequest) => sendSignal({ database, validateJson: evaluator.validateJson }, request),
    listTools: () => [],
    checkJson: evaluator.validateJson,
  };
  const duties = startDuties({ database, system, workflows, accepting, bulk, artifacts, home, publicUrl: 'http://127.0.0.1', log, now: Date.now });
  const sequencer = startSequencer({ system, signer, log, now: Date.now, isWatched: () => false });
  const connection = await Connection.connect({ address });
  /** Reads what runs leave in Temporal. */
  const client = new Client({ connection, namespace, dataConverter: createDataConverter({ sealing, namespace, refuse: 'throw' }) });
  /** Talks to hand-written workflows: no codec. */
  const floorClient = new Client({ connection, namespace });

  return {
    home,
    owner,
    database,
    system,
    workflows,
    duties,
    client,
    floorClient,
    pids: { postgres: postgres.identity.pid, temporal: temporal.identity.pid, floor: floorWorker.pid },
    workerPid: (): number => worker.pid,
    dbos: (): Promise<Dbos> => (dbos ??= startDbos(postgres.facts, workerFlags)),
    /** SIGKILL, and a new one after as long as the supervisor takes to start one. Answers the instant of the kill (ms since 1970). */
    killWorker: async (): Promise<number> => {
      const killedAt = Date.now();
      await worker.kill();
      await new Promise((resolve) => setTimeout(resolve, supervisorDelayMs));
      worker = await startWorker();
      return killedAt;
    },
    stop: async (): Promise<void> => {
      // One that did not start was told by the figure that asked for it.
      const stopDbos = dbos?.then(
        (running) => running.stop(),
        () => undefined,
      );
      await Promise.all([worker.stop(), floorWorker.stop(), duties.stop(), sequencer.stop(), stopDbos]);
      await Promise.all([evaluator.close(), workflows.close(), connection.close(), database.close(), system.close()]);
      await Promise.all([postgres.stop(), temporal.stop()]);
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** First delay of workers/supervisor/supervised-part.ts. */
const supervisorDelayMs = 200;
