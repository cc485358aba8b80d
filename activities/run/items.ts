import { KosError } from '#core/errors.ts';
import type { Claim } from '#core/engine/claim.ts';
import { holdsUncertain } from '#core/engine/state.ts';
import type { ItemsJoined, ItemsOpened } from '#core/engine/outcome.ts';
import type { Artifact } from '#schemas/artifact.ts';
import type { Json } from '#schemas/json.ts';
import type { OutcomeError } from '#schemas/run.ts';
import { findLines } from '#services/artifacts/lines.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { insertLines, keepArtifact } from '#services/runs/ledger/artifact-lines.ts';
import { assertClaim, assertNotPaused, markWorking, readHeader } from '#services/runs/ledger/header.ts';
import {
  countItems,
  type FailedItem,
  failedItems,
  insertItems,
  type ItemCounts,
  itemsAtMost,
  joinedOutput,
  unfinishedItems,
} from '#services/runs/ledger/items.ts';
import { closeOpenItems } from '#services/runs/ledger/close-run.ts';
import { loadResults, makeScope } from '#services/runs/ledger/load-scope.ts';
import { endStep, endStepSkipped, recordRetry, stepOutputBytesAtMost } from '#services/runs/ledger/record-outcome.ts';
import { recordStarted, takeStep, type TakenStep } from '#services/runs/ledger/take-step.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import { namedArtifact } from './artifact-lines.ts';
import { closeWithLastStep, type RunWork } from './close-run.ts';
import { meetsWhen } from './condition.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { failStep } from './fail-step.ts';
import { classifyFailure, retryDelayMs } from './failure.ts';
import { placeOf } from './step-place.ts';

/** Evaluates a `forEach` and writes one pending row per item. */
export async function openItems(dependencies: RunActivityDependencies, work: RunWork, stepNumber: number, alone: boolean): Promise<ItemsOpened> {
  const compiled = stepOf(work, stepNumber);
  const opened = await openList(dependencies, work, compiled, alone);
  return 'linesOf' in opened ? await openLines(dependencies, work, compiled, opened.linesOf, alone) : opened;
}

/** In the transaction that marks the step as running. An artifact's lines are found outside of it, for that takes as long as it is large. */
async function openList(
  dependencies: RunActivityDependencies,
  work: RunWork,
  compiled: CompiledStep,
  alone: boolean,
): Promise<ItemsOpened | { linesOf: Artifact }> {
  const stepNumber = compiled.number;
  const { claim } = work;
  return await dependencies.database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    const header = await readHeader(sql, claim);
    assertClaim(header, claim);
    const step = await takeStep(sql, claim, { path: compiled.id, step: stepNumber, item: null, kind: compiled.kind });
    if (!step.taken) return { outcome: step.outcome };
    assertNotPaused(header, claim);
    const startedAt = await markWorking(sql, claim, header);
    const known = await countItems(sql, claim.runId, stepNumber);
    if (known.count > 0) return { count: known.count };
    const reads = [...new Set([...compiled.reads.when, ...compiled.reads.forEach])];
    const scope = makeScope(work.facts, startedAt, await loadResults(sql, claim.runId, reads), null);
    try {
      if (!(await meetsWhen(dependencies.evaluator, compiled, scope))) {
        await endStepSkipped(sql, claim, step, 'its "when" is false');
        return { outcome: 'k' };
      }
      const given = compiled.forEach === null ? [] : await dependencies.evaluator.evaluate(compiled.forEach, scope);
      work.known.startedAt = startedAt;
      if (compiled.lines !== null) return { linesOf: await namedArtifact(sql, compiled, given) };
      const items = asItems(compiled, given);
      await insertItems(sql, claim, placeOf(compiled, null), items);
      await recordOpened(sql, claim, step, items.length);
      work.known.addItems(stepNumber, items);
      return { count: items.length };
    } catch (thrown) {
      return await openingFailed(dependencies, sql, work, compiled, step, thrown, alone);
    }
  });
}

async function openLines(
  dependencies: RunActivityDependencies,
  work: RunWork,
  compiled: CompiledStep,
  artifact: Artifact,
  alone: boolean,
): Promise<ItemsOpened> {
  const { claim } = work;
  const form = compiled.lines ?? 'text';
  const found = await findLines(dependencies.artifacts, claim.workspaceId, artifact, form, itemsAtMost).then(
    (lines) => ({ lines }),
    (thrown: unknown) => ({ thrown }),
  );
  return await dependencies.database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    assertClaim(await readHeader(sql, claim), claim);
    const step = await takeStep(sql, claim, placeOf(compiled, null));
    if (!step.taken) return { outcome: step.outcome };
    const known = await countItems(sql, claim.runId, compiled.number);
    if (known.count > 0) return { count: known.count };
    try {
      if ('thrown' in found) throw found.thrown;
      await keepArtifact(sql, claim, artifact.id);
      await insertLines(sql, claim, placeOf(compiled, null), artifact, found.lines);
      await recordOpened(sql, claim, step, found.lines.length);
      return { count: found.lines.length };
    } catch (thrown) {
      return await openingFailed(dependencies, sql, work, compiled, step, thrown, alone);
    }
  });
}

async function recordOpened(sql: TransactionSql, claim: Claim, step: TakenStep, count: number): Promise<void> {
  await sql`update kos.steps set metadata = metadata || ${sql.json({ items: count })} where run_id = ${claim.runId} and path = ${step.path}`;
  await recordStarted(sql, claim, step, { items: count });
}

function asItems(compiled: CompiledStep, value: Json): Json[] {
  if (!Array.isArray(value)) {
    throw new KosError({
      code: 'for_each_not_a_list',
      message: `The forEach of ${compiled.id} gave ${value === null ? 'null' : `a ${typeof value}`}, not a list.`,
      fix: 'Let it give a list.',
      status: 422,
    });
  }
  if (value.length > itemsAtMost) {
    throw new KosError({
      code: 'for_each_too_large',
      message: `The forEach of ${compiled.id} has ${value.length} items; at most ${itemsAtMost} are allowed.`,
      fix: 'Split the list over several runs.',
      status: 422,
    });
  }
  return value;
}

async function openingFailed(
  dependencies: RunActivityDependencies,
  sql: TransactionSql,
  work: RunWork,
  compiled: CompiledStep,
  step: TakenStep,
  thrown: unknown,
  alone: boolean,
): Promise<ItemsOpened> {
  const failure = classifyFailure(thrown, compiled.id);
  if (failure === null) throw thrown;
  if (failure.retryable && step.attempt < compiled.retry.maxAttempts) {
    const retryInMs = retryDelayMs(compiled.retry, step.attempt, null);
    await recordRetry(sql, work.claim, step, failure, retryInMs, alone);
    return { retryInMs };
  }
  return { outcome: await failStep(dependencies, sql, { ...work, compiled }, step, failure.error) };
}

/** Ends a `forEach`: its output is the array of its items' outputs, in item order, null where a failure was tolerated. */
export async function joinItems(dependencies: RunActivityDependencies, work: RunWork, stepNumber: number, closes: boolean): Promise<ItemsJoined> {
  const compiled = stepOf(work, stepNumber);
  const { claim } = work;
  return await dependencies.database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    const header = await readHeader(sql, claim);
    assertClaim(header, claim);
    const step = await takeStep(sql, claim, { path: compiled.id, step: stepNumber, item: null, kind: compiled.kind });
    if (!step.taken) return { outcomes: step.outcome };
    const counts = await countItems(sql, claim.runId, stepNumber);
    const holds = holdsUncertain(header.rules);
    const untold = holds ? 0 : counts.uncertain;
    if (counts.failed - counts.tolerated + untold > 0) return { outcomes: await endWithFailedItems(dependencies, sql, work, compiled, step, counts) };
    if (counts.uncertain > 0 && counts.unfinished === 0) return { outcomes: await endWithUncertainItem(sql, work, compiled, step, counts) };
    if (counts.unfinished > 0) return { outcomes: '', unfinished: await unfinishedItems(sql, claim.runId, stepNumber, 0, itemsAtMost, true) };
    // Of a run that was failing when somebody cancelled it: a retry does what was cut off again.
    if (counts.cancelled > 0) {
      await endStep(sql, claim, step, { status: 'cancelled', output: null, error: null, costMicros: 0, metadata: {} });
      return { outcomes: 'c' };
    }
    const output = await joinedOutput(sql, claim.runId, stepNumber);
    const bytes = Buffer.byteLength(JSON.stringify(output));
    if (bytes > stepOutputBytesAtMost) return { outcomes: await failStep(dependencies, sql, { ...work, compiled }, step, joinedTooLarge(compiled, bytes)) };
    await endStep(sql, claim, step, {
      status: 'succeeded',
      output,
      error: null,
      costMicros: 0,
      metadata: { items: counts.count, succeeded: counts.succeeded, failed: counts.failed },
    });
    if (!closes) return { outcomes: 's' };
    await closeWithLastStep(dependencies, work, () => undefined)(sql);
    return { outcomes: 's', closed: true };
  });
}

/** People say of its items what came of them; then it is joined again. */
async function endWithUncertainItem(sql: TransactionSql, work: RunWork, compiled: CompiledStep, step: TakenStep, counts: ItemCounts): Promise<'u'> {
  const error: OutcomeError = {
    code: 'effect_uncertain',
    message: `Effects of ${counts.uncertain} of ${counts.count} items may have happened.`,
    fix: `Resolve each of them; which they are, and how: kai run why ${work.claim.runId}`,
    stepPath: compiled.id,
  };
  await endStep(sql, work.claim, step, { status: 'uncertain', output: null, error, costMicros: 0, metadata: {} });
  return 'u';
}

/** So many are named in the error of their step; the others stand in its rows. */
const namedFailuresAtMost = 10;

async function endWithFailedItems(
  dependencies: RunActivityDependencies,
  sql: TransactionSql,
  work: RunWork,
  compiled: CompiledStep,
  step: TakenStep,
  counts: ItemCounts,
): Promise<'f' | 't'> {
  const { runId, workspaceId } = work.claim;
  // What a failed item kept from starting does not start any more.
  if (counts.unfinished > 0) await closeOpenItems(sql, workspaceId, runId, compiled.number);
  const failed = await failedItems(sql, runId, compiled.number, namedFailuresAtMost);
  const error = failedItemsError(compiled, counts, failed);
  if (counts.uncertain > 0) return await endUncertain(sql, work, step, error);
  return await failStep(dependencies, sql, { ...work, compiled }, step, error, { metadata: { items: counts.count, failed: counts.failed } });
}

/** Nobody can vouch for an effect, whatever the plan would do after a failure. */
async function endUncertain(sql: TransactionSql, { claim }: RunWork, step: TakenStep, error: OutcomeError): Promise<'f'> {
  await endStep(sql, claim, step, { status: 'failed', output: null, error, costMicros: 0, metadata: {} });
  return 'f';
}

function failedItemsError(compiled: CompiledStep, counts: ItemCounts, failed: readonly FailedItem[]): OutcomeError {
  const [first] = failed;
  const count = counts.failed + counts.uncertain;
  const others = count > failed.length ? ` and ${count - failed.length} others` : '';
  const tolerated = compiled.toleratedItems === null || compiled.toleratedItems === 0 ? '' : ` (${compiled.toleratedItems} are tolerated)`;
  const which = count === 1 ? `${first?.path ?? 'unknown'}` : `${failed.map(({ path }) => path).join(', ')}${others}; the first of them`;
  return {
    code: first?.code ?? 'item_failed',
    message: `${count} of ${counts.count} items failed${tolerated}: ${which}: ${first?.message ?? ''}`,
    fix: first?.fix ?? null,
    stepPath: first?.path ?? compiled.id,
  };
}

const joinedTooLarge = (compiled: CompiledStep, bytes: number): OutcomeError => ({
  code: 'output_too_large',
  message: `The joined output of ${compiled.id} has ${bytes} bytes; at most ${stepOutputBytesAtMost} are allowed.`,
  fix: 'Let each item give less, or write artifacts.',
  stepPath: compiled.id,
});

export function stepOf(work: RunWork, number: number): CompiledStep {
  const compiled = work.executable.plan.steps[number];
  if (compiled === undefined) throw new Error(`The plan of ${work.claim.runId} has no step ${number}.`);
  return compiled;
}
