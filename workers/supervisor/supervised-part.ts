import { setTimeout as sleep } from 'node:timers/promises';
import { describeExit } from '#services/embedded/child-process.ts';
import type { ExitFacts } from '#services/embedded/child-process.ts';

/** A part that runs: a server or one of our programs. */
export interface RunningPart<Facts> {
  /** What others need to reach it. */
  facts: Facts;
  identity: { pid: number };
  exited: Promise<ExitFacts>;
  stop: () => Promise<void>;
}

export interface PartDefinition<Facts> {
  name: string;
  /** Starts it once and resolves when it runs; whatever an earlier start left behind is swept first. */
  start: () => Promise<RunningPart<Facts>>;
}

export interface SupervisedPart<Facts> {
  name: string;
  /** The first start: its failure is the caller's. From then on the part is kept running. */
  start: () => Promise<Facts>;
  stop: () => Promise<void>;
  /** Ends what runs now; it is started again like after any death. */
  restart: () => Promise<void>;
}

export interface Supervision<Facts> {
  say: (message: string) => void;
  /** Called at each death, and at each start that fails after one. */
  onDeath?: (how: string) => void;
  /** A later start may have other facts (its port was taken meanwhile): dependants must hear of them. */
  onRestarted?: (facts: Facts) => Promise<void>;
  timing?: RestartTiming;
}

export interface RestartTiming {
  firstDelayMs: number;
  maxDelayMs: number;
  /** A part that ran this long has recovered: its next death starts from the first delay again. */
  healthyAfterMs: number;
}

const defaultTiming: RestartTiming = { firstDelayMs: 200, maxDelayMs: 10_000, healthyAfterMs: 10_000 };

/** Doubles from the first delay up to the greatest. `deaths` counts those without a healthy spell between them, from 1. */
export function restartDelayMs(deaths: number, timing: RestartTiming = defaultTiming): number {
  return Math.min(timing.firstDelayMs * 2 ** (deaths - 1), timing.maxDelayMs);
}

export function supervise<Facts>(definition: PartDefinition<Facts>, supervision: Supervision<Facts>): SupervisedPart<Facts> {
  const timing = supervision.timing ?? defaultTiming;
  const stopping = new AbortController();
  let running: RunningPart<Facts> | null = null;
  let starting: Promise<RunningPart<Facts>> | null = null;
  let keeper: Promise<void> = Promise.resolve();

  const launch = async (): Promise<RunningPart<Facts>> => {
    starting = definition.start();
    try {
      running = await starting;
      return running;
    } finally {
      starting = null;
    }
  };

  /** One return to life: waits, starts, and waits longer after each failure. Null when it is to stop meanwhile. */
  const revive = async (reason: string, deaths: number): Promise<{ part: RunningPart<Facts>; deaths: number } | null> => {
    let count = deaths;
    for (let why = reason; ; count += 1) {
      const delayMs = restartDelayMs(count, timing);
      supervision.say(`${definition.name} ${why}; starting it again in ${delayMs / 1_000} s.`);
      // Cut short when it is to stop: then the sleep rejects, and the next line sees why.
      await sleep(delayMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return null;
      try {
        const part = await launch();
        supervision.say(`${definition.name} runs again (process ${part.identity.pid}).`);
        await supervision.onRestarted?.(part.facts);
        return { part, deaths: count };
      } catch (error) {
        // Also a part that runs, but of which its dependants could not be told.
        await running?.stop();
        running = null;
        why = `did not start: ${(error as Error).message}`;
        supervision.onDeath?.(why);
      }
    }
  };

  const keep = async (first: RunningPart<Facts>): Promise<void> => {
    let part = first;
    let deaths = 0;
    for (;;) {
      const since = performance.now();
      const exit = await part.exited;
      running = null;
      if (stopping.signal.aborted) return;
      deaths = performance.now() - since >= timing.healthyAfterMs ? 1 : deaths + 1;
      supervision.onDeath?.(describeExit(exit));
      const revived = await revive(`(process ${part.identity.pid}) ${describeExit(exit)}`, deaths);
      if (revived === null) return;
      ({ part, deaths } = revived);
    }
  };

  return {
    name: definition.name,
    start: async () => {
      const part = await launch();
      keeper = keep(part);
      return part.facts;
    },
    stop: async () => {
      stopping.abort();
      // A start that is under way is seen to its end: what it launches must not be left behind.
      await starting?.catch(() => undefined);
      await running?.stop();
      await keeper;
    },
    restart: async () => {
      await running?.stop();
    },
  };
}
