import { CancelledFailure, Context } from '@temporalio/activity';
import type { Vitality } from './run/dependencies.ts';
import { AttemptLost } from './run/failure.ts';

/** Well under the heartbeat time-out of 2 s, so that one late beat is no death. */
const heartbeatEveryMs = 600;

/** Runs an activity's work with heartbeats. Its signal is aborted by a cancelled run, and with AttemptLost when this attempt is over for another reason. */
export async function alive<Result>(work: (vitality: Vitality) => Promise<Result>): Promise<Result> {
  const context = Context.current();
  const controller = new AbortController();
  // A local activity has none: the workflow task that waits for it is its sign of life.
  const beat = context.info.isLocal ? undefined : setInterval(() => context.heartbeat(), heartbeatEveryMs);
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

/**
 * The SDK names its reason in the failure's message (ActivityCancelReason). Only CANCELLED is a cancel of the run; NOT_FOUND and TIMED_OUT come to a
 * worker whose heartbeats were late, WORKER_SHUTDOWN to one that stops, PAUSED and RESET by an operator's hand: another attempt goes on.
 */
const reasonOf = (reason: unknown): Error => {
  if (reason instanceof CancelledFailure && reason.message === 'CANCELLED') return reason;
  const name = reason instanceof Error ? reason.message : 'unknown';
  return new AttemptLost(name, name !== 'WORKER_SHUTDOWN');
};
