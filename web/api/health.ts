/** Status words only: `/readyz` is public. */
export type PartStatus = 'ok' | 'down';

export interface Health {
  ready: boolean;
  parts: { database: PartStatus; temporal: PartStatus; workers: PartStatus };
}

export interface HealthProbe {
  check(): Promise<Health>;
}

export interface HealthSources {
  pingDatabase: () => Promise<void>;
  /** Throws when Temporal does not answer. */
  pingTemporal: () => Promise<unknown>;
  /** How many workers are there and poll the runs' queue; throws when database or Temporal does not answer. */
  countWorkers: () => Promise<number>;
}

const freshForMs = { ready: 1_000, notReady: 100 };
/** A part that takes longer counts as down. */
const answerWithinMs = 2_000;

/** Asks each part at most once a second, ten times while something is down, however many ask. */
export function createHealthProbe(sources: HealthSources, now: () => number): HealthProbe {
  let known: { until: number; health: Promise<Health> } | null = null;
  const ask = async (): Promise<Health> => {
    const health = await askAll(sources);
    known = { until: now() + (health.ready ? freshForMs.ready : freshForMs.notReady), health: Promise.resolve(health) };
    return health;
  };
  return {
    check() {
      if (known === null || now() >= known.until) known = { until: Number.POSITIVE_INFINITY, health: ask() };
      return known.health;
    },
  };
}

async function askAll(sources: HealthSources): Promise<Health> {
  const [database, temporal, workers] = await Promise.allSettled([
    within(sources.pingDatabase()),
    within(sources.pingTemporal()),
    within(sources.countWorkers()),
  ]);
  const parts: Health['parts'] = {
    database: word(database.status === 'fulfilled'),
    temporal: word(temporal.status === 'fulfilled'),
    workers: word(workers.status === 'fulfilled' && workers.value > 0),
  };
  return { ready: Object.values(parts).every((part) => part === 'ok'), parts };
}

const word = (isWell: boolean): PartStatus => (isWell ? 'ok' : 'down');

function within<Result>(answer: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${answerWithinMs} ms`)), answerWithinMs);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
