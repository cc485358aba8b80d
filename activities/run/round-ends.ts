import { canUndo } from '#core/engine/compensation.ts';
import type { RepeatPolicy } from '#core/plan/compiled.ts';
import { roundPath } from '#core/plan/step-path.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { Outcome } from '#core/engine/outcome.ts';
import type { Json } from '#schemas/json.ts';
import type { OutcomeError, WaitingFor } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { endStep } from '#services/runs/ledger/record-outcome.ts';
import type { RoundRow } from '#services/runs/ledger/rounds.ts';
import { standIn } from '#services/runs/ledger/stand-in.ts';
import type { TakenStep } from '#services/runs/ledger/take-step.ts';
import { holds } from './condition.ts';
import type { ExpressionEvaluator } from './dependencies.ts';
import type { ExecutablePlan } from '#services/runs/executable-plans.ts';
import { type FailedWork, failStep } from './fail-step.ts';
import { classifyFailure } from './failure.ts';

/** Where a step stands in its rounds. */
export interface RoundPosition {
  iteration: number;
  last: Json;
  /** How the round ended; null: it is to be run, or to be finished. */
  ended: { status: 'succeeded'; output: Json; msAgo: number } | { status: 'failed' | 'uncertain'; error: OutcomeError | null } | null;
}

export function positionOf([newest, before]: readonly RoundRow[]): RoundPosition {
  if (newest === undefined) return { iteration: 0, last: null, ended: null };
  const { iteration, status, output, error, endedMsAgo } = newest;
  const last = before?.output ?? null;
  if (status === 'succeeded') return { iteration, last, ended: { status, output, msAgo: endedMsAgo ?? 0 } };
  if (status === 'failed' || status === 'uncertain') return { iteration, last, ended: { status, error } };
  return { iteration, last, ended: null };
}

export const nextRound = ({ iteration }: RoundPosition, last: Json): RoundPosition => ({ iteration: iteration + 1, last, ended: null });

/** A step (or item) in rounds, as its worker took it, and what its rounds have in common. */
export interface Repeating {
  evaluator: ExpressionEvaluator;
  work: FailedWork & { executable: Pick<ExecutablePlan, 'shape'>; alsoAtEnd?: (sql: TransactionSql) => Promise<void> };
  policy: RepeatPolicy;
  parent: TakenStep;
  /** What the condition sees besides the round. */
  scope: Scope;
  /** The number that no round reaches. */
  bound: number;
}

/** What follows on a round: another one, or the end of its step. */
export type Verdict =
  | { do: 'goOn' }
  | { do: 'succeed'; output: Json; metadata: { rounds: number; exhausted?: true } }
  | { do: 'fail'; error: OutcomeError; rounds: number }
  | { do: 'doubt'; error: OutcomeError };

/** A round that failed fails its step; one that nobody can vouch for leaves it uncertain, too; on one that succeeded the condition decides. */
export async function verdictOn(repeating: Repeating, { iteration, last, ended }: RoundPosition): Promise<Verdict> {
  if (ended === null) throw new Error(`Round ${iteration} of ${repeating.parent.path} has not ended.`);
  if (ended.status === 'succeeded') return await verdictOnOutput(repeating, { iteration, last }, ended.output);
  const path = roundPath(repeating.parent.path, iteration);
  const error: OutcomeError = ended.error ?? { code: 'round_failed', message: `${path} is ${ended.status}.`, fix: null, stepPath: path };
  if (ended.status === 'failed') return { do: 'fail', error, rounds: iteration + 1 };
  const fix = `Look outside whether it happened: kai run resolve ${repeating.work.claim.runId} '${path}' happened|did-not --reason R`;
  return { do: 'doubt', error: { ...error, fix } };
}

async function verdictOnOutput(repeating: Repeating, { iteration, last }: Pick<RoundPosition, 'iteration' | 'last'>, output: Json): Promise<Verdict> {
  const { evaluator, policy, parent, scope, bound } = repeating;
  const rounds = iteration + 1;
  try {
    if ((await meets(evaluator, policy, parent.path, { ...scope, iteration, last, output })) === policy.endsWith)
      return { do: 'succeed', output, metadata: { rounds } };
  } catch (thrown) {
    const failure = classifyFailure(thrown, parent.path);
    if (failure === null) throw thrown;
    return { do: 'fail', error: failure.error, rounds };
  }
  if (rounds < bound) return { do: 'goOn' };
  if (policy.onExhausted === 'continue') return { do: 'succeed', output, metadata: { rounds, exhausted: true } };
  return { do: 'fail', error: exhausted(repeating), rounds };
}

/** Throws KosError `repeat_not_boolean`. */
const meets = (evaluator: ExpressionEvaluator, { condition, endsWith }: RepeatPolicy, path: string, scope: Scope): Promise<boolean> =>
  holds(
    evaluator,
    { template: condition, code: 'repeat_not_boolean', name: `The "${endsWith ? 'until' : 'while'}" of ${path}`, example: 'output.status == 200' },
    scope,
  );

/** A run that undoes what it did is not retried from here. */
const exhausted = ({ work, policy, parent }: Repeating): OutcomeError => ({
  code: 'repeat_exhausted',
  message: `${policy.maxIterations} rounds of ${parent.path} were not enough.`,
  fix: `Raise maxIterations, or let onExhausted be continue.${canUndo(work.executable.shape) ? '' : ` For as many rounds again: kai run retry ${work.claim.runId}`}`,
  stepPath: parent.path,
});

/** Ends the step by what its last round came to. */
export async function endByVerdict(sql: TransactionSql, { evaluator, work, parent }: Repeating, verdict: Exclude<Verdict, { do: 'goOn' }>): Promise<Outcome> {
  const { claim, compiled } = work;
  switch (verdict.do) {
    case 'succeed': {
      const { output, metadata } = verdict;
      await endStep(sql, claim, parent, { status: 'succeeded', output, error: null, costMicros: 0, metadata });
      if (compiled.fallbackOf !== null) await standIn(sql, { runId: claim.runId, failed: compiled.fallbackOf, fallback: parent.path });
      await work.alsoAtEnd?.(sql);
      return 's';
    }
    case 'fail': {
      const outcome = await failStep({ evaluator }, sql, work, parent, verdict.error, { metadata: { rounds: verdict.rounds } });
      if (outcome === 't') await work.alsoAtEnd?.(sql);
      return outcome;
    }
    case 'doubt':
      await endStep(sql, claim, parent, { status: 'uncertain', output: null, error: verdict.error, costMicros: 0, metadata: {} });
      return 'u';
  }
}

export const pausedForRound =
  ({ parent, bound }: Repeating, iteration: number) =>
  (until: string): WaitingFor => ({
    kind: 'timer',
    ref: null,
    until,
    text: `${parent.path} has done ${iteration} of at most ${bound} rounds; the next begins at ${until}.`,
  });

/** The round's own row has the same, in the attempt's words. */
export const pausedForRetry =
  ({ parent }: Repeating, iteration: number) =>
  (until: string): WaitingFor => {
    const path = roundPath(parent.path, iteration);
    return { kind: 'retry', ref: path, until, text: `${path} failed and is tried again at ${until}.` };
  };
