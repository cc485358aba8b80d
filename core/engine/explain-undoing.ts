import type { Reason } from './reason.ts';

/** What is known of a run that undoes what its steps did. */
export interface UndoingFacts {
  ending: 'failed' | 'cancelled' | 'timed_out';
  /** When it began to. */
  since: string | null;
  undone: number;
  /** What has an undo and is not undone: to come, or given up. */
  left: number;
  /** A run that its steps have started, and that ends first; null: none is open. */
  subRunId: string | null;
  /** The next to be undone; null: none is left. */
  next: NextUndoFacts | null;
}

export interface NextUndoFacts {
  /** Of the undo, or of the step while that is uncertain. */
  path: string;
  status: 'uncertain' | 'retrying' | 'running' | 'pending';
  attempt: number;
  startedAt: string | null;
  waitingFor: { ref: string | null; until: string | null; text: string } | null;
  timeoutMs: number;
}

const because: Record<UndoingFacts['ending'], string> = { failed: 'has failed', cancelled: 'was cancelled', timed_out: 'has run out of time' };

/** Why such a run has not ended: nothing of it goes forward any more, so its steps have no reasons of their own. */
export function explainUndoing(runId: string, status: string, facts: UndoingFacts): Reason[] {
  const { ending, since, undone, left, subRunId, next } = facts;
  const text = `The run ${because[ending]} and undoes what it did: ${undone} of ${undone + left} steps are undone.`;
  const whole: Reason = {
    stepPath: null,
    status,
    blockedBy: { kind: 'ending', ref: null, text },
    since,
    until: null,
    unblocks: 'Each is undone, the last first; then the run ends. To leave the rest as it is, say so.',
    command: `kai run cancel ${runId} --no-undo --reason R`,
  };
  if (subRunId !== null) return [whole, explainSubRun(status, subRunId)];
  return next === null ? [whole] : [whole, explainNext(runId, next)];
}

const explainSubRun = (status: string, subRunId: string): Reason => ({
  stepPath: null,
  status,
  blockedBy: { kind: 'run', ref: subRunId, text: `${subRunId}, which a step has started, ends first and undoes what it did.` },
  since: null,
  until: null,
  unblocks: 'That run must end.',
  command: `kai run why ${subRunId}`,
});

function explainNext(runId: string, { path, status, attempt, startedAt, waitingFor, timeoutMs }: NextUndoFacts): Reason {
  const base = { stepPath: path, status, since: startedAt };
  const quoted = `'${path}'`;
  switch (status) {
    case 'uncertain':
      return {
        ...base,
        blockedBy: {
          kind: 'approval',
          ref: null,
          text: 'Its effect may have happened, and nobody but a person can say. What was done before it is undone after that.',
        },
        until: null,
        unblocks: 'Somebody looks outside and says what came of it.',
        command: `kai run resolve ${runId} ${quoted} happened|did-not --reason R`,
      };
    case 'retrying':
      return {
        ...base,
        blockedBy: { kind: 'retry', ref: waitingFor?.ref ?? null, text: waitingFor?.text ?? 'It failed and is tried again.' },
        until: waitingFor?.until ?? null,
        unblocks: 'The next attempt starts by itself. To do without it, say so.',
        command: `kai run skip ${runId} ${quoted} --reason R`,
      };
    case 'running':
      return {
        ...base,
        blockedBy: { kind: 'work', ref: null, text: `It works (attempt ${attempt}); one attempt may take ${timeoutMs} ms.` },
        until: startedAt === null ? null : new Date(Date.parse(startedAt) + timeoutMs).toISOString(),
        unblocks: 'It must end, or its time-out stops it.',
        command: `kai run logs ${runId}`,
      };
    case 'pending':
      return {
        ...base,
        blockedBy: { kind: 'engine', ref: null, text: 'It is the next to be undone.' },
        until: null,
        unblocks: 'A worker takes it up by itself.',
        command: 'kai status',
      };
  }
}
