import { Worker } from 'node:worker_threads';
import { KosError } from '#core/errors.ts';
import { expressionBudgetExceeded } from '#core/expression/faults.ts';
import { evaluatorFailed } from './failures.ts';
import type { Answer, Job } from './jobs.ts';
import type { Runner, RunnerOptions } from './runner.ts';

/** Wall-clock bound of a job whose thread gets no processor, as a multiple of its budget. */
const patience = 40;

/** The part of `Worker` that Node 24 has and its types do not: processor time of the thread, in microseconds, even while it is busy. */
interface MeteredWorker {
  cpuUsage(): Promise<{ user: number; system: number }>;
}

/**
 * A thread with a budget for each job; one that overruns is ended, with its job. Its bound of memory holds for what grows slowly: a job that asks
 * for very much at once ends the whole process (V8 knows no other way), so threads run in processes of their own, see `process-runner.ts`.
 */
export class ThreadRunner implements Runner {
  ended = false;
  readonly #worker: Worker;
  readonly #options: RunnerOptions;
  readonly #ready: Promise<Answer | Error>;
  #cpuMs = 0;
  #settle: ((outcome: Answer | Error) => void) | undefined;

  constructor(options: RunnerOptions) {
    this.#options = options;
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    this.#worker = new Worker(new URL(`./thread.${extension}`, import.meta.url), {
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: options.memoryMb, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 },
    });
    this.#ready = this.#nextAnswer().then((answer) => {
      if (!(answer instanceof Error)) this.#cpuMs = answer.cpuMs;
      return answer;
    });
    this.#worker.on('message', (answer: Answer) => this.#settle?.(answer));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', (code) => this.#fail(new Error(`the evaluator's thread ended with code ${code}`)));
  }

  async run(job: Job, what: string): Promise<unknown> {
    const ready = await this.#ready;
    if (ready instanceof Error) throw failureOf(ready, what);
    const answer = this.#nextAnswer();
    this.#worker.postMessage(job);
    const watch = this.#watchBudget(what);
    const outcome = await answer;
    clearTimeout(watch.timer);
    watch.over = true;
    if (outcome instanceof Error) throw failureOf(outcome, what);
    this.#cpuMs = outcome.cpuMs;
    if (outcome.kind === 'refused') throw new KosError({ code: outcome.code, message: outcome.message, fix: outcome.fix, status: outcome.status });
    return outcome.kind === 'done' ? outcome.value : undefined;
  }

  async end(): Promise<void> {
    this.ended = true;
    await this.#worker.terminate();
  }

  #nextAnswer(): Promise<Answer | Error> {
    return new Promise((resolve) => {
      this.#settle = (outcome) => {
        this.#settle = undefined;
        resolve(outcome);
      };
    });
  }

  #fail(error: Error): void {
    this.ended = true;
    this.#settle?.(error);
  }

  /** Looks at the thread's processor time each time the budget could be used up: a busy machine must not fail an honest expression. */
  #watchBudget(what: string): { timer: NodeJS.Timeout | undefined; over: boolean } {
    const { budgetMs } = this.#options;
    const startedAt = performance.now();
    const before = this.#cpuMs;
    const watch: { timer: NodeJS.Timeout | undefined; over: boolean } = { timer: undefined, over: false };
    const look = async (): Promise<void> => {
      const used = (await this.#cpuUsageMs()) - before;
      if (watch.over) return;
      if (used >= budgetMs || performance.now() - startedAt >= budgetMs * patience) {
        this.#fail(expressionBudgetExceeded(what));
        await this.end();
        return;
      }
      watch.timer = setTimeout(() => void look(), Math.max(10, budgetMs - used));
    };
    watch.timer = setTimeout(() => void look(), budgetMs);
    return watch;
  }

  /** Infinity when the thread does not even answer this. */
  async #cpuUsageMs(): Promise<number> {
    const deadline = new Promise<number>((resolve) => setTimeout(() => resolve(Number.POSITIVE_INFINITY), this.#options.budgetMs).unref());
    const usage = (this.#worker as unknown as MeteredWorker).cpuUsage().then(
      ({ user, system }) => (user + system) / 1_000,
      () => Number.POSITIVE_INFINITY,
    );
    return Promise.race([usage, deadline]);
  }
}

function failureOf(error: Error, what: string): KosError {
  if (error instanceof KosError) return error;
  if ('code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY') return expressionBudgetExceeded(what);
  return evaluatorFailed(what, error.message, error);
}
