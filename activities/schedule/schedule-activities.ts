import type { AcceptDependencies } from '#services/runs/accept.ts';
import { acceptStart, type DueStart, type TakenStart } from '#services/schedules/accept-start.ts';
import { cancelRun, concludeRun, type Readiness, type ReadyRun, readReadiness, type ScheduledRunPlace } from '#services/schedules/carry-run.ts';
import type { Vitality } from '../run/dependencies.ts';
import { persistently } from '../run/persistently.ts';

export interface ScheduleActivityDependencies extends AcceptDependencies {
  alive<Result>(work: (vitality: Vitality) => Promise<Result>): Promise<Result>;
}

export type { DueStart, ReadyRun, ScheduledRunPlace };

/** What the workflow of a schedule has done. All of it is short, and may be repeated. */
export function createScheduleActivities(dependencies: ScheduleActivityDependencies) {
  const { database } = dependencies;
  const lasting = <Result>(work: () => Promise<Result>): Promise<Result> => dependencies.alive(({ signal }) => persistently(signal, work));

  return {
    async acceptScheduledRun(due: DueStart): Promise<TakenStart> {
      return await lasting(() => acceptStart(dependencies, due));
    },

    async readScheduledRun(place: ScheduledRunPlace): Promise<Readiness> {
      return await lasting(() => readReadiness(database, place));
    },

    async cancelScheduledRun(place: ScheduledRunPlace): Promise<void> {
      await lasting(() => cancelRun(database, place));
    },

    /** `over`: its row has the run's end, and what follows from it is drawn. */
    async concludeScheduledRun(place: ScheduledRunPlace): Promise<{ over: boolean }> {
      return await lasting(() => concludeRun(database, place));
    },
  };
}
