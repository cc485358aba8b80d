import { KosError } from '#core/errors.ts';
import type { Job, JobResults } from './jobs.ts';
import type { Runner } from './runner.ts';

/** A runner that has had nothing to do for so long is ended, for the memory it holds. */
const idleMs = 60_000;

interface Task {
  job: Job;
  what: string;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

interface IdleRunner {
  runner: Runner;
  timer: NodeJS.Timeout;
}

/** Hands jobs to runners, in order. A runner that ended is forgotten, with its job, and replaced when next needed. */
export class JobPool {
  readonly #most: number;
  readonly #makeRunner: () => Runner;
  readonly #idle: IdleRunner[] = [];
  readonly #all = new Set<Runner>();
  readonly #waiting: Task[] = [];
  #closed = false;

  constructor(most: number, makeRunner: () => Runner) {
    this.#most = most;
    this.#makeRunner = makeRunner;
  }

  /** Rejects with `expression_budget` when the job overruns, else with what the job itself refused. */
  run<J extends Job>(job: J, what: string): Promise<JobResults[J['kind']]> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(closedFailure(what));
        return;
      }
      this.#waiting.push({ job, what, resolve: resolve, reject });
      this.#assign();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { timer } of this.#idle.splice(0)) clearTimeout(timer);
    for (const task of this.#waiting.splice(0)) task.reject(closedFailure(task.what));
    await Promise.all([...this.#all].map((runner) => runner.end()));
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      const runner = this.#takeIdle() ?? this.#start();
      if (runner === undefined) return;
      const task = this.#waiting.shift();
      if (task !== undefined) void this.#work(runner, task);
    }
  }

  /** The one used last; those that died while they had nothing to do are forgotten. */
  #takeIdle(): Runner | undefined {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      clearTimeout(idle.timer);
      if (!idle.runner.ended) return idle.runner;
      this.#all.delete(idle.runner);
    }
    return undefined;
  }

  #start(): Runner | undefined {
    if (this.#all.size >= this.#most) return undefined;
    const runner = this.#makeRunner();
    this.#all.add(runner);
    return runner;
  }

  async #work(runner: Runner, task: Task): Promise<void> {
    try {
      task.resolve(await runner.run(task.job, task.what));
    } catch (error) {
      task.reject(error instanceof Error ? error : new Error(String(error)));
    }
    if (runner.ended || this.#closed) this.#all.delete(runner);
    else this.#rest(runner);
    this.#assign();
  }

  #rest(runner: Runner): void {
    const timer = setTimeout(() => {
      const index = this.#idle.findIndex((idle) => idle.runner === runner);
      if (index === -1) return;
      this.#idle.splice(index, 1);
      this.#all.delete(runner);
      void runner.end();
    }, idleMs).unref();
    this.#idle.push({ runner, timer });
  }
}

const closedFailure = (what: string): KosError =>
  new KosError({ code: 'evaluator_closed', message: `${what} was not evaluated: the evaluator is closed.`, status: 503, retryable: true });
