import { Worker } from 'node:worker_threads';
import { KosError } from '#core/errors.ts';
import { expressionBudgetExceeded } from '#core/expression/faults.ts';
import type { Answer, Job, JobResults } from './jobs.ts';

export interface PoolOptions {
  threads: number;
  /** Processor time of one job, in milliseconds. */
  budgetMs: number;
  memoryMb: number;
}

/** Wall-clock bound of a job whose thread gets no processor, as a multiple of its budget. */
const patience = 40;
/** A thread that has had nothing to do for so long is ended: it holds about 10 MB. */
const idleMs = 60_000;

interface Task {
  job: Job;
  what: string;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Worker threads with a budget for each job. A thread that overruns is ended, with its job, and replaced when next needed. */
export class ThreadPool {
  readonly #options: PoolOptions;
  readonly #idle: Thread[] = [];
  readonly #all = new Set<Thread>();
  readonly #waiting: Task[] = [];
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Rejects with `expression_budget` when the job overruns, else with what the job itself refused. */
  run<J extends Job>(job: J, what: string): Promise<JobResults[J['kind']]> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new KosError({ code: 'evaluator_closed', message: `${what} was not evaluated: the evaluator is closed.`, status: 503, retryable: true }));
        return;
      }
      this.#waiting.push({ job, what, resolve: resolve, reject });
      this.#assign();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const task of this.#waiting.splice(0)) {
      task.reject(
        new KosError({ code: 'evaluator_closed', message: `${task.what} was not evaluated: the evaluator is closing.`, status: 503, retryable: true }),
      );
    }
    await Promise.all([...this.#all].map((thread) => thread.end()));
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      const thread = this.#takeIdle() ?? this.#start();
      if (thread === undefined) return;
      const task = this.#waiting.shift();
      if (task !== undefined) void this.#work(thread, task);
    }
  }

  /** The one used last; those that died while they had nothing to do are forgotten. */
  #takeIdle(): Thread | undefined {
    for (let thread = this.#idle.pop(); thread !== undefined; thread = this.#idle.pop()) {
      if (!thread.ended) return thread;
      this.#all.delete(thread);
    }
    return undefined;
  }

  #start(): Thread | undefined {
    if (this.#all.size >= this.#options.threads) return undefined;
    const thread = new Thread(this.#options);
    this.#all.add(thread);
    return thread;
  }

  async #work(thread: Thread, task: Task): Promise<void> {
    try {
      task.resolve(await thread.run(task.job, task.what));
    } catch (error) {
      task.reject(error instanceof Error ? error : new Error(String(error)));
    }
    if (thread.ended || this.#closed) this.#all.delete(thread);
    else this.#rest(thread);
    this.#assign();
  }

  #rest(thread: Thread): void {
    this.#idle.push(thread);
    thread.rest(idleMs, () => {
      const index = this.#idle.indexOf(thread);
      if (index === -1) return;
      this.#idle.splice(index, 1);
      this.#all.delete(thread);
      void thread.end();
    });
  }
}

/** The part of `Worker` that Node 24 has and its types do not: processor time of the thread, in microseconds, even while it is busy. */
interface MeteredWorker {
  cpuUsage(): Promise<{ user: number; system: number }>;
}

class Thread {
  ended = false;
  readonly #worker: Worker;
  readonly #options: PoolOptions;
  readonly #ready: Promise<Answer | Error>;
  #cpuMs = 0;
  #settle: ((outcome: Answer | Error) => void) | undefined;
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(options: PoolOptions) {
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
    this.#worker.unref();
  }

  async run(job: Job, what: string): Promise<unknown> {
    clearTimeout(this.#idleTimer);
    this.#worker.ref();
    try {
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
    } finally {
      this.#worker.unref();
    }
  }

  rest(delayMs: number, then: () => void): void {
    this.#idleTimer = setTimeout(then, delayMs).unref();
  }

  async end(): Promise<void> {
    this.ended = true;
    clearTimeout(this.#idleTimer);
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
  return new KosError({
    code: 'evaluator_failed',
    message: `${what} was not evaluated: ${error.message}`,
    fix: 'Try again; `kai doctor` shows whether the worker is well.',
    status: 500,
    retryable: true,
    cause: error,
  });
}
