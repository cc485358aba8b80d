/** Names of every signal and query, and what they carry. No Temporal import: web and cli may read this file. */

/** A wait was decided in Postgres: a reminder to look there. */
export const decisionSignalName = 'decision';
export interface DecisionSignal {
  waitId: string;
  version: number;
}

/** A cancel was recorded in Postgres: a reminder to look there. */
export const cancelSignalName = 'cancel';

/** Something that a person decided of the run was recorded in Postgres: a reminder to look there. */
export const controlSignalName = 'control';

/** To the workflow of a schedule whose run waits: it may be its turn. A reminder to look there. */
export const turnSignalName = 'turn';

export const windowEndedSignalName = 'windowEnded';
export interface WindowEndedSignal {
  step: number;
  from: number;
  failed: boolean;
}

export const stopWindowSignalName = 'stopWindow';
export interface StopWindowSignal {
  cancel: boolean;
}

/** What a run tells its windows when it is paused, goes on, or is served earlier or later. */
export const windowControlSignalName = 'windowControl';
export interface WindowControlSignal {
  version: number;
  paused: boolean;
  priority?: number;
}

/** What the run's workflow is doing, for people who look into a run. */
export const progressQueryName = 'progress';
export interface ProgressAnswer {
  completions: number;
  inFlight: number;
  draining: boolean;
  ending: string | null;
  /** Windows whose end has not been told. */
  windows: { step: number; from: number; to: number }[];
}
