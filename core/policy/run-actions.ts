import { KosError } from '#core/errors.ts';
import { isFinalRunStatus, type RunStatus } from '#schemas/run.ts';

/** What a person can do to a run. */
export const runActions = ['cancel', 'terminate', 'pause', 'resume', 'retry', 'fork', 'replay', 'override', 'skip', 'resolve', 'prioritize'] as const;
export type RunAction = (typeof runActions)[number];

/** `yes`; `done`: it is so already, and nothing changes; else why not. */
type Answer = 'yes' | 'done' | 'ended' | 'open' | 'not_paused' | 'succeeded';

const whileOpen = (queued: Answer, running: Answer, paused: Answer, ended: Answer): Record<RunStatus, Answer> => ({
  queued,
  running,
  waiting: running,
  paused,
  succeeded: ended,
  failed: ended,
  cancelled: ended,
  terminated: ended,
});

const always = whileOpen('yes', 'yes', 'yes', 'yes');
const open = whileOpen('yes', 'yes', 'yes', 'ended');
/** On what has not succeeded: of a run that has ended it takes effect with a retry. */
const unsucceeded: Record<RunStatus, Answer> = { ...always, succeeded: 'succeeded' };

const answers: Record<RunAction, Record<RunStatus, Answer>> = {
  cancel: open,
  terminate: open,
  pause: { ...open, paused: 'done' },
  resume: whileOpen('not_paused', 'not_paused', 'yes', 'ended'),
  retry: { ...whileOpen('open', 'open', 'open', 'yes'), succeeded: 'succeeded' },
  fork: always,
  replay: always,
  override: unsucceeded,
  skip: unsucceeded,
  resolve: unsucceeded,
  prioritize: open,
};

export interface ActionTarget {
  runId: string;
  status: RunStatus;
  cancelRequested: boolean;
  /** Of one that undoes what it did, or has: whether a retry finds something to undo. Null or absent: it does not go back. */
  undoing?: 'left' | 'over' | null;
}

/** Whether the action has something to do; throws KosError (409) with the reason and the remedy when the run's state does not allow it. */
export function allowsAction(action: RunAction, run: ActionTarget): boolean {
  const answer = answers[action][run.status];
  if (answer === 'done') return false;
  if (answer !== 'yes') throw refusal(action, run, answer);
  if (run.cancelRequested && !isFinalRunStatus(run.status) && !despiteCancel.includes(action)) throw beingCancelled(action, run);
  return true;
}

/** All else would come too late for a run that is on its way to its end. (A cancel lifts a pause; a release before that did not.) */
const despiteCancel: readonly RunAction[] = ['cancel', 'terminate', 'resume', 'fork', 'replay', 'prioritize', 'resolve'];

function refusal(action: RunAction, { runId, status, undoing = null }: ActionTarget, answer: Exclude<Answer, 'yes' | 'done'>): KosError {
  const refuse = (code: string, message: string, fix: string | null): KosError =>
    new KosError({ code, message, fix, status: 409, extra: { runStatus: status, action } });
  switch (answer) {
    case 'ended':
      return refuse('run_final', `The run ${runId} has ${status} already: there is nothing to ${action}.`, remedyOfEnded(runId, status, undoing));
    case 'succeeded':
      return refuse('run_succeeded', `The run ${runId} has succeeded: there is nothing to ${action} in it.`, `Run its plan again: kai run replay ${runId}`);
    case 'open':
      return refuse(
        'run_open',
        `The run ${runId} is ${status}: only a run that has ended without success can be retried.`,
        `See what holds it up: kai run why ${runId}`,
      );
    case 'not_paused':
      return refuse('run_not_paused', `The run ${runId} is ${status}, not paused.`, `See what holds it up: kai run why ${runId}`);
  }
}

/** Only what the state allows: a run that went back does not go on. */
function remedyOfEnded(runId: string, status: RunStatus, undoing: ActionTarget['undoing']): string {
  if (status === 'succeeded') return `kai run replay ${runId}`;
  if (undoing === 'over') return `It was undone. Begin anew: kai run replay ${runId}`;
  if (undoing === 'left') return `Try what was not undone again: kai run retry ${runId}. Or begin anew: kai run replay ${runId}`;
  return `Go on with it: kai run retry ${runId}`;
}

const beingCancelled = (action: RunAction, { runId, status }: ActionTarget): KosError =>
  new KosError({
    code: 'run_being_cancelled',
    message: `The run ${runId} is being cancelled: it is too late to ${action} it.`,
    fix: `Wait for its end: kai run watch ${runId}. Then go on with it, unless it undoes what it did (kai run retry ${runId}), or begin anew: kai run replay ${runId}`,
    status: 409,
    extra: { runStatus: status, action },
  });
