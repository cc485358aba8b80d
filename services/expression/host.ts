import { KosError } from '#core/errors.ts';
import { evaluatorFailed } from './failures.ts';
import { JobPool } from './job-pool.ts';
import type { HostAnswer, HostRequest } from './jobs.ts';
import type { RunnerOptions } from './runner.ts';
import { ThreadRunner } from './thread-runner.ts';

/** A process of the evaluator: takes one job at a time from whoever started it and gives it to a thread under a budget. Ends with its starter. */
const options = JSON.parse(process.argv[2] ?? '') as RunnerOptions;
const pool = new JobPool(1, () => new ThreadRunner(options));

async function answer({ job, what }: HostRequest): Promise<HostAnswer> {
  try {
    return { kind: 'done', value: await pool.run(job, what) };
  } catch (error) {
    const failure = error instanceof KosError ? error : evaluatorFailed(what, String(error));
    const { code, message, fix, status, retryable } = failure;
    return { kind: 'failed', code, message, fix, status, retryable };
  }
}

process.on('message', (request: HostRequest) => {
  void answer(request).then((answered) => process.send?.(answered));
});
process.on('disconnect', () => process.exit(0));
// Ctrl-C reaches every process of a terminal: when to end is the starter's to say, who may still need an answer.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
