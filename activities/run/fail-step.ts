import type { CompiledStep } from '#core/plan/compiled.ts';
import type { Claim } from '#core/engine/claim.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { OutcomeError } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { RunFacts } from '#services/runs/ledger/header.ts';
import { countToleratedItem } from '#services/runs/ledger/items.ts';
import { loadResults, makeScope } from '#services/runs/ledger/load-scope.ts';
import { standIn } from '#services/runs/ledger/stand-in.ts';
import { endStep } from '#services/runs/ledger/record-outcome.ts';
import type { TakenStep } from '#services/runs/ledger/take-step.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { classifyFailure } from './failure.ts';

/** What a failed step is part of. */
export interface FailedWork {
  claim: Claim;
  facts: RunFacts;
  compiled: CompiledStep;
}

interface Judgement {
  tolerated: boolean;
  /** What stands in for its output. */
  output: Json;
  error: OutcomeError;
  metadata: JsonObject;
}

/** Ends a step, or an item of one, that has failed for good: what that means its plan says. Of a round the step it belongs to says it. */
export async function failStep(
  { evaluator }: Pick<RunActivityDependencies, 'evaluator'>,
  sql: TransactionSql,
  work: FailedWork,
  step: TakenStep,
  error: OutcomeError,
  { metadata = {}, costMicros = 0 }: { metadata?: JsonObject; costMicros?: number } = {},
): Promise<'t' | 'f'> {
  const judged =
    step.iteration !== undefined
      ? judgedBy(false, error)
      : step.item === null
        ? await judgeStep(evaluator, sql, work, error)
        : await judgeItem(sql, work, error);
  await endStep(sql, work.claim, step, {
    status: 'failed',
    output: judged.output,
    error: judged.error,
    costMicros,
    metadata: { ...metadata, ...(judged.tolerated ? { tolerated: true } : {}), ...judged.metadata },
  });
  if (step.item === null && step.iteration === undefined) await passOn(sql, work, judged);
  return judged.tolerated ? 't' : 'f';
}

async function passOn(sql: TransactionSql, { claim: { runId }, compiled: { id, onFailure, fallbackOf } }: FailedWork, { tolerated }: Judgement): Promise<void> {
  // A person may have given the fallback its output before.
  if (onFailure.do === 'fallback') await standIn(sql, { runId, failed: id, fallback: onFailure.step });
  else if (tolerated && fallbackOf !== null) await standIn(sql, { runId, failed: fallbackOf, fallback: id });
}

const judgedBy = (tolerated: boolean, error: OutcomeError): Judgement => ({ tolerated, output: null, error, metadata: {} });

async function judgeStep(evaluator: RunActivityDependencies['evaluator'], sql: TransactionSql, work: FailedWork, error: OutcomeError): Promise<Judgement> {
  const policy = work.compiled.onFailure;
  switch (policy.do) {
    case 'fail':
      return judgedBy(false, error);
    case 'continue':
      return judgedBy(true, error);
    case 'fallback':
      return { ...judgedBy(true, error), metadata: { fallback: policy.step } };
    case 'value': {
      const results = await loadResults(sql, work.claim.runId, work.compiled.reads.onError);
      try {
        const output = await evaluator.evaluate(policy.value, { ...makeScope(work.facts, new Date(0), results, null), error: { ...error } });
        return { ...judgedBy(true, error), output };
      } catch (thrown) {
        const failure = classifyFailure(thrown, work.compiled.id);
        if (failure === null) throw thrown;
        const message = `${error.message} (The value of its onError could not be evaluated: ${failure.error.message})`;
        return judgedBy(false, { ...error, message: message.slice(0, 4_000) });
      }
    }
  }
}

/** Of items that fail at once, each takes one of the failures that are tolerated, until none is left. */
async function judgeItem(sql: TransactionSql, { claim, compiled }: FailedWork, error: OutcomeError): Promise<Judgement> {
  const atMost = compiled.toleratedItems;
  if (atMost === null || atMost === 0) return judgedBy(atMost === null, error);
  return judgedBy((await countToleratedItem(sql, claim.runId, compiled.id)) <= atMost, error);
}
