import type { Logger } from 'pino';
import { type JobDependencies, workOnJobs } from '#services/jobs/work.ts';
import { type Duty, repeat } from './repeat.ts';

const idlePauseMs = 500;

/** Works off what people have asked for many runs at once. */
export const startJobs = (options: JobDependencies & { log: Logger; nudgeOutbox: () => void }): Duty =>
  repeat('jobs', options.log, async () => {
    const more = await workOnJobs(options);
    if (more) options.nudgeOutbox();
    return more ? 0 : idlePauseMs;
  });
