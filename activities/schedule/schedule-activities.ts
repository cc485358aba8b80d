import { setTimeout as sleep } from 'node:timers/promises';
import type { AcceptDependencies } from '#services/runs/accept.ts';
import { acceptStart, type DueStart, type TakenStart } from '#services/schedules/accept-start.ts';
import { cancelRun, concludeRun, type ReadyRun, readReadiness, readRunEnd, type ScheduledRunPlace } from '#services/schedules/carry-run.ts';
import type { Vitality } from '../run/dependencies.ts';
import { persistently } from '../run/persistently.ts';

export interface ScheduleActivityDependencies extends AcceptDependencies {
  alive<Result>(work: (vitality: Vitality) => Promise<Result>): Promise<Result>;
}

const lookEveryMs = 500;

export type { DueStart, ReadyRun, ScheduledRunPlace };

/** What the workflow of a schedule has done. All of it may be repeated. */
export function createScheduleActivities(dependencies: ScheduleActivityDependencies) {
  const { database } = dependencies;

  const lasting = <Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> =>
    dependencies.alive(({ signal }) => persistently(signal, () => work(signal)));

  /** Looks until there is something; ends with the activity. */
  const until = <Result>(look: () => Promise<Result | null>): Promise<Result> =>
    lasting(async (signal) => {
      for (;;) {
        signal.throwIfAborted();
        const found = await look();
        if (found !== null) return found;
        await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
      }
    });

  return {
    async acceptScheduledRun(due: DueStart): Promise<TakenStart> {
      return await lasting(() => acceptStart(dependencies, due));
    },

    /** Waits until the run may be started. Null: it was started otherwise, or is over. */
    async readyScheduledRun(place: ScheduledRunPlace): Promise<ReadyRun | null> {
      const ready = await until(async () => {
        const readiness = await readReadiness(database, place);
        return readiness.is === 'waits' ? null : readiness;
      });
      return ready.is === 'ready' ? ready.run : null;
    },

    async cancelScheduledRun(place: ScheduledRunPlace): Promise<void> {
      await lasting(() => cancelRun(database, place));
    },

    /** Waits for the run's end, as its row has it, and draws what follows from it. */
    async concludeScheduledRun(place: ScheduledRunPlace): Promise<void> {
      const { status } = await until(() => readRunEnd(database, place));
      await lasting(() => concludeRun(database, place, status));
    },
  };
}
