import type { Job } from './jobs.ts';

export interface RunnerOptions {
  /** Processor time of one job, in milliseconds. */
  budgetMs: number;
  memoryMb: number;
}

/** Does one job at a time, apart from everything else in this process. */
export interface Runner {
  /** It can take no further job. */
  readonly ended: boolean;
  run(job: Job, what: string): Promise<unknown>;
  end(): Promise<void>;
}
