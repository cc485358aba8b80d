import { CancelledFailure, Context } from '@temporalio/activity';
import type { Vitality } from './run/dependencies.ts';
import { WorkerStopping } from './run/failure.ts';

/** Well under the heartbeat time-out of 2 s, so that one late beat is no death. */
const heartbeatEveryMs = 600;

/** Runs an activity's work with heartbeats. Its signal is aborted by a cancelled run, and with WorkerStopping when the worker goes. */
export async function alive<Result>(work: (vitality: Vitality) => Promise<Result>): Promise<Result> {
  const context = Context.current();
  const controller = new AbortController();
  const beat = setInterval(() => context.heartbeat(), heartbeatEveryMs);
  const stopped = (): void => controller.abort(reasonOf(context.cancellationSignal.reason));
  if (context.cancellationSignal.aborted) stopped();
  else context.cancellationSignal.addEventListener('abort', stopped, { once: true });
  try {
    return await work({ signal: controller.signal });
  } finally {
    clearInterval(beat);
    context.cancellationSignal.removeEventListener('abort', stopped);
  }
}

/** The SDK tells a worker's shutdown from a cancel by the failure's message only (ActivityCancellationReason). */
const reasonOf = (reason: unknown): Error => {
  if (reason instanceof CancelledFailure && reason.message === 'WORKER_SHUTDOWN') return new WorkerStopping();
  return reason instanceof Error ? reason : new Error('cancelled');
};
