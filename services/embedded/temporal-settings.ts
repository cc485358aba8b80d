import type { StopStep } from './child-process.ts';

/**
 * Measured on two cores (10 no-op activities in a row): 1,050 ms with the defaults, about 215 ms so. A server with one history shard
 * loads its task queues at most 20 times a second unless told otherwise.
 */
const dynamicConfiguration: Record<string, number | boolean | string> = {
  'history.transferProcessorMaxPollRPS': 100_000,
  'history.timerProcessorMaxPollRPS': 100_000,
  'history.visibilityProcessorMaxPollRPS': 100_000,
  'system.enableActivityEagerExecution': true,
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
  // Priority and fairness are off without these two.
  'matching.useNewMatcher': true,
  'matching.enableFairness': true,
  // A timer nearer than this rings this late. With the default of 1 s, one of 100 ms took 990 ms, and so did every retry; 102 ms so.
  'history.timerProcessorMaxTimeShift': '10ms',
  // A task whose worker dies again and again is given ever more time, up to 10 minutes, before the next worker may take it. Quick units are done in such tasks.
  'history.workflowTaskRetryMaxInterval': '3s',
};

/** FULL: an acknowledged commit survives a power cut. */
const pragmas: Record<string, string> = { journal_mode: 'WAL', synchronous: 'FULL' };

/** Bounds the heap of the Go server: 220 → 190 MB under load, no measurable cost. */
export const temporalMemory = { GOMEMLIMIT: '150MiB', GOGC: '50' };

/** Every run carries its workspace, so that Temporal's own list can be filtered by it. Clear text: an opaque id. */
export const searchAttributes: Record<string, 'Keyword'> = { KosWorkspace: 'Keyword' };

export const temporalPortNames = ['temporal', 'temporalHttp', 'temporalMetrics'] as const;
export type TemporalPorts = Record<(typeof temporalPortNames)[number], number>;

export interface TemporalArguments {
  databaseFile: string;
  namespace: string;
  ports: TemporalPorts;
  /** False only in tests: no flush to disk per commit. */
  durable: boolean;
  /** In tests: dynamic configuration as a server elsewhere may have it. */
  instead: Record<string, number | boolean | string>;
}

export function temporalArguments(options: TemporalArguments): string[] {
  const settings = Object.entries({ ...dynamicConfiguration, ...options.instead }).flatMap(([key, value]) => [
    '--dynamic-config-value',
    `${key}=${JSON.stringify(value)}`,
  ]);
  const chosenPragmas = options.durable ? pragmas : { ...pragmas, synchronous: 'OFF' };
  return [
    'server',
    'start-dev',
    '--headless',
    '--ip',
    '127.0.0.1',
    '--port',
    String(options.ports.temporal),
    '--http-port',
    String(options.ports.temporalHttp),
    '--metrics-port',
    String(options.ports.temporalMetrics),
    '--db-filename',
    options.databaseFile,
    '--log-format',
    'json',
    '--log-level',
    'warn',
    // Tells the ports that it takes for its inner services: nothing can set them.
    '--log-config',
    // The person's own CLI profile must not reach our server.
    '--disable-config-env',
    '--disable-config-file',
    ...(options.namespace === 'default' ? [] : ['--namespace', options.namespace]),
    ...Object.entries(chosenPragmas).flatMap(([name, value]) => ['--sqlite-pragma', `${name}=${value}`]),
    ...Object.entries(searchAttributes).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
    ...settings,
  ];
}

/** It ends within a second. Killed, it loses nothing: its store is flushed at every commit. */
export const temporalStopSteps: StopStep[] = [{ signal: 'SIGTERM', graceMs: 1_500 }];
