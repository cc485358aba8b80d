import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { KosError } from '#core/errors.ts';
import { expressionBudgetExceeded } from '#core/expression/faults.ts';
import { evaluatorFailed } from './failures.ts';
import type { HostAnswer, HostRequest, Job } from './jobs.ts';
import type { Runner, RunnerOptions } from './runner.ts';

/** How V8 ends a process that has no memory left: by abort, or by an instruction made to fail. */
const outOfMemorySignals = new Set<NodeJS.Signals | null>(['SIGABRT', 'SIGTRAP', 'SIGILL']);
/** Exit codes for the same where there are no signals (Windows). */
const outOfMemoryCodes = new Set<number | null>([134, 0x80000003]);

type Settle = (outcome: HostAnswer | KosError) => void;

/**
 * Runs jobs in a process of their own (`host.ts`), which holds them to their budget by a thread. Whatever a job does to its memory, only that
 * process dies of it.
 */
export class ProcessRunner implements Runner {
  ended = false;
  readonly #child: ChildProcess;
  #current: { what: string; settle: Settle } | undefined;

  constructor(options: RunnerOptions) {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    this.#child = fork(new URL(`./host.${extension}`, import.meta.url), [JSON.stringify(options)], {
      env: {},
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#child.on('message', (answer) => this.#settle(answer as HostAnswer));
    this.#child.on('error', (error) => this.#lose((what) => evaluatorFailed(what, error.message, error)));
    this.#child.on('exit', (code, signal) => this.#lose((what) => exitFailure(what, code, signal)));
    this.#child.on('disconnect', () => {
      this.ended = true;
    });
    this.#keepAlive(false);
  }

  async run(job: Job, what: string): Promise<unknown> {
    this.#keepAlive(true);
    const answer = await new Promise<HostAnswer | KosError>((settle) => {
      this.#current = { what, settle };
      const request: HostRequest = { job, what };
      this.#child.send(request, (error) => {
        if (error !== null) this.#lose(() => evaluatorFailed(what, error.message, error));
      });
    });
    this.#keepAlive(false);
    if (answer instanceof KosError) throw answer;
    if (answer.kind === 'done') return answer.value;
    const { code, message, fix, status, retryable } = answer;
    // What overran may still bring its process down: the next job must not be there when it does.
    if (code === 'expression_budget') await this.end();
    throw new KosError({ code, message, fix, status, retryable });
  }

  async end(): Promise<void> {
    this.ended = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return;
    // Whoever waits for its end must live to see it.
    this.#child.ref();
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  #settle(outcome: HostAnswer | KosError): void {
    const current = this.#current;
    this.#current = undefined;
    current?.settle(outcome);
  }

  #lose(failure: (what: string) => KosError): void {
    this.ended = true;
    if (this.#current !== undefined) this.#settle(failure(this.#current.what));
  }

  /** A runner without a job does not keep its process from ending. */
  #keepAlive(alive: boolean): void {
    if (alive) {
      this.#child.ref();
      this.#child.channel?.ref();
    } else {
      this.#child.unref();
      this.#child.channel?.unref();
    }
  }
}

function exitFailure(what: string, code: number | null, signal: NodeJS.Signals | null): KosError {
  if (outOfMemorySignals.has(signal) || outOfMemoryCodes.has(code)) return expressionBudgetExceeded(what);
  return evaluatorFailed(what, `the evaluator's process ended (${signal ?? `code ${code}`})`);
}
