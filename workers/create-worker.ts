import { Runtime, DefaultLogger, NativeConnection, Worker } from '@temporalio/worker';
import type { Logger } from 'pino';
import { alive } from '#activities/alive.ts';
import { createOutgoingActivities } from '#activities/outgoing/outgoing-activities.ts';
import { createScheduleActivities, type ScheduleActivityDependencies } from '#activities/schedule/schedule-activities.ts';
import { createRunActivities } from '#activities/run/run-activities.ts';
import type { RunActivityDependencies } from '#activities/run/dependencies.ts';
import { createGate } from '#services/outgoing/gate.ts';
import type { SendMeans } from '#services/outgoing/means.ts';
import type { Sealing } from '#services/sealing/sealing.ts';
import { KosError } from '#core/errors.ts';
import type { TemporalSecurity } from '#services/temporal/security.ts';
import { createDataConverter } from '#services/temporal/data-converter.ts';
import { refusedPayloadInterceptor } from '#services/temporal/data-converter-refusal.ts';
import { runsTaskQueue } from '#workflows/ids.ts';

export interface WorkerOptions {
  address: string;
  namespace: string;
  /** Of a server that is not on this machine. */
  security?: TemporalSecurity;
  sealing: Sealing;
  /** Path of the workflow bundle. */
  bundle: string;
  dependencies: Omit<RunActivityDependencies, 'alive'>;
  /** What is sent to the outside besides the work of steps. */
  outgoing: SendMeans;
  taskQueue?: string;
  /** Workflows kept in memory; parked ones beyond are replayed when something happens. */
  maxCachedWorkflows?: number;
}

export interface RunWorker {
  /** Ends when the worker was shut down; rejects when it cannot go on. */
  run(): Promise<void>;
  shutdown(): void;
  close(): Promise<void>;
}

/** Sends the SDK's own lines to our log. Once per process, before anything of the SDK. */
export function installRuntime(log: Logger): void {
  Runtime.install({
    logger: new DefaultLogger('WARN', ({ level, message, meta }) => {
      if (level === 'ERROR') log.error({ meta }, message);
      else log.warn({ meta }, message);
    }),
    telemetryOptions: { logging: { forward: {}, filter: { core: 'ERROR', other: 'ERROR' } } },
  });
}

/** Temporal's answers to a lost worker: sticky tasks move on after 1 s, heartbeats (see `alive`) are passed on twice a second. */
export const workerTuning = {
  maxCachedWorkflows: 200,
  maxConcurrentActivityTaskExecutions: 100,
  maxConcurrentWorkflowTaskExecutions: 20,
  stickyQueueScheduleToStartTimeout: '1 s',
  maxHeartbeatThrottleInterval: '500 ms',
  defaultHeartbeatThrottleInterval: '500 ms',
  shutdownGraceTime: '2 s',
  shutdownForceTime: '4 s',
} as const;

/** Sealed payloads do not get smaller, and what remains is small: compressing every request costs both sides more than it saves. */
export const connectionTuning = { grpcCompression: { codec: 'none' } } as const;

async function connectNative({ address, security }: Pick<WorkerOptions, 'address' | 'security'>): Promise<NativeConnection> {
  try {
    return await NativeConnection.connect({ address, ...security, ...connectionTuning });
  } catch (cause) {
    throw new KosError({
      code: 'temporal_unusable',
      message: `The Temporal at ${address} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}.`,
      fix: 'See TEMPORAL_ADDRESS, TEMPORAL_API_KEY and TEMPORAL_TLS…: README, "Configuration".',
      status: 503,
      cause,
    });
  }
}

const scheduleDependencies = ({ database, evaluator }: WorkerOptions['dependencies']): ScheduleActivityDependencies => ({
  database,
  validateInput: (schema, input) => evaluator.validateInput(schema, input),
  evaluate: (template, scope) => evaluator.evaluate(template, scope),
  alive,
});

/** A fifth of what may be under way in all, and a twentieth for one receiver that does not answer. */
const outgoingRoom = { inAll: 20, each: 5 };

const outgoingDependencies = ({ dependencies, outgoing }: WorkerOptions) => ({
  ...outgoing,
  database: dependencies.database,
  gate: createGate(outgoingRoom),
  now: Date.now,
  random: Math.random,
  alive,
});

export async function createRunWorker(options: WorkerOptions): Promise<RunWorker> {
  const connection = await connectNative(options);
  const worker = await Worker.create({
    connection,
    namespace: options.namespace,
    taskQueue: options.taskQueue ?? runsTaskQueue,
    workflowBundle: { codePath: options.bundle },
    activities: {
      ...createRunActivities({ ...options.dependencies, alive }),
      ...createScheduleActivities(scheduleDependencies(options.dependencies)),
      ...createOutgoingActivities(outgoingDependencies(options)),
    },
    dataConverter: createDataConverter({ sealing: options.sealing, namespace: options.namespace, refuse: 'marker' }),
    interceptors: { activity: [refusedPayloadInterceptor] },
    ...workerTuning,
    maxCachedWorkflows: options.maxCachedWorkflows ?? workerTuning.maxCachedWorkflows,
  });
  return {
    run: () => worker.run(),
    shutdown: () => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
    },
    close: () => connection.close(),
  };
}
