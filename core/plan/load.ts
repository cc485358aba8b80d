import { createHash } from 'node:crypto';
import { KosError } from '#core/errors.ts';
import { canonicalJson } from '#core/expression/values.ts';
import { type CacheRule, type Plan, type PlanStep, stepDefaults } from '#schemas/plan.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { CheckPolicy, CompiledStep, FailurePolicy, LoadedPlan, RepeatPolicy, RetryPolicy, UndoPolicy } from './compiled.ts';
import { FaultList } from './fault-list.ts';
import { parsePlanDocument } from './parse.ts';
import { conditionalWaitOf, read, readStepTemplates, repeatOf, type StepTemplates, undoOf } from './templates.ts';
import type { Template } from '#core/expression/template.ts';

/** SHA-256, in lower-case hex, of a value's RFC 8785 form. Throws KosError `not_canonical` (422): that form has no halves of surrogate pairs. */
export function digestOf(value: Json): string {
  return createHash('sha256').update(canonicalForm(value)).digest('hex');
}

function canonicalForm(value: Json): string {
  try {
    return canonicalJson(value);
  } catch (cause) {
    throw new KosError({
      code: 'not_canonical',
      message: `A value has no RFC 8785 form, which its digest needs: ${cause instanceof Error ? cause.message : String(cause)}.`,
      fix: 'Keep halves of surrogate pairs (a lone \\ud800 to \\udfff) out of texts.',
      status: 422,
      cause,
    });
  }
}

/**
 * Prepares a plan that was checked when it was saved, for the activities that work on it. Throws `plan_unreadable` when the document is
 * no plan of this language: that can only be one saved by a newer kOS.
 */
export function loadPlan(document: Json): LoadedPlan {
  const parsed = parsePlanDocument(document);
  const faults = new FaultList(undefined);
  if (parsed.ok) {
    const { plan } = parsed.parsed;
    const steps = readSteps(plan, faults);
    const output = read(plan.output ?? null, '/output', faults);
    if (faults.faults.length === 0) return assemble(plan, parsed.parsed.document, steps, output);
  }
  const details = parsed.ok ? faults.faults : parsed.faults;
  throw new KosError({
    code: 'plan_unreadable',
    message: `The stored plan cannot be read: ${details[0]?.message ?? 'unknown form'}.`,
    fix: 'Save the plan again with `kai plan save`, or run the version of kOS that saved it.',
    status: 422,
    details,
  });
}

export function readSteps(plan: Plan, faults: FaultList): StepTemplates[] {
  return Object.entries(plan.steps).map(([id, definition]) => readStepTemplates(id, definition, faults));
}

export function assemble(plan: Plan, document: JsonObject, templates: StepTemplates[], output: Template): LoadedPlan {
  const gatedBy = approvalsByGatedStep(plan);
  const fallbackOf = stepsByFallback(plan);
  return {
    name: plan.plan,
    document,
    digest: digestOf(document),
    steps: templates.map((step, number) =>
      assembleStep(plan, step, number, { gatedBy: gatedBy.get(step.id) ?? null, fallbackOf: fallbackOf.get(step.id) ?? null }),
    ),
    inputSchema: plan.input ?? null,
    output,
    outputReads: [...output.steps],
    labels: plan.labels ?? {},
  };
}

function approvalsByGatedStep(plan: Plan): Map<string, string> {
  const gatedBy = new Map<string, string>();
  for (const [id, step] of Object.entries(plan.steps)) {
    if ('approval' in step) for (const gated of step.approval.for ?? []) gatedBy.set(gated, id);
  }
  return gatedBy;
}

function stepsByFallback(plan: Plan): Map<string, string> {
  const fallbackOf = new Map<string, string>();
  for (const [id, { onError }] of Object.entries(plan.steps)) if (typeof onError === 'object' && 'step' in onError) fallbackOf.set(onError.step, id);
  return fallbackOf;
}

function assembleStep(plan: Plan, templates: StepTemplates, number: number, tied: Pick<CompiledStep, 'gatedBy' | 'fallbackOf'>): CompiledStep {
  const { id, kind, definition, when, forEach, lines, repeat, check, onError, input } = templates;
  const own: Pick<PlanStep & Partial<WorkingStep>, 'retry' | 'timeoutMs' | 'timeoutInAllMs' | 'concurrency' | 'onItemError'> = definition;
  return {
    number,
    id,
    kind,
    definition,
    when,
    forEach,
    lines,
    repeat: repeatPolicyOf(templates),
    check: checkPolicyOf(templates),
    input,
    reads: {
      when: [...(when?.steps ?? [])],
      forEach: [...(forEach?.steps ?? [])],
      input: [...input.steps],
      repeat: [...(repeat?.condition.steps ?? [])],
      check: [...(check?.condition.steps ?? [])],
      onError: [...(onError?.steps ?? [])],
    },
    // The steps of the other run have been tried as often as its own plan says: a whole run is not, unless the step says so.
    retry: retryOf('plan' in definition ? { maxAttempts: 1 } : plan.defaults?.retry, own.retry),
    timeoutMs: own.timeoutMs ?? plan.defaults?.timeoutMs ?? stepDefaults.timeoutMs,
    concurrency: own.concurrency ?? plan.defaults?.concurrency ?? stepDefaults.concurrency,
    timeoutInAllMs: own.timeoutInAllMs ?? null,
    onFailure: failurePolicyOf(plan, definition, onError),
    undo: undoPolicyOf(plan, templates),
    cache: cacheOf(definition),
    toleratedItems: toleratedItemsOf(plan, definition, own.onItemError),
    ...tied,
  };
}

function repeatPolicyOf({ definition, repeat }: StepTemplates): RepeatPolicy | null {
  const said = repeatOf(definition);
  if (said === null || repeat === null) return null;
  const { maxIterations, everyMs = 0, onExhausted = 'fail' } = said;
  return { endsWith: said.until !== undefined, condition: repeat.condition, maxIterations, everyMs, onExhausted };
}

function checkPolicyOf({ definition, check }: StepTemplates): CheckPolicy | null {
  const wait = conditionalWaitOf(definition);
  if (wait === null || check === null) return null;
  const { tool, retry, timeoutMs = stepDefaults.check.timeoutMs } = wait.check;
  const { everyMs, expiresInMs = stepDefaults.check.expiresInMs, onExpiry = stepDefaults.check.onExpiry } = wait;
  return { tool, condition: check.condition, everyMs, expiresInMs, onExpiry, retry: retryOf(undefined, retry), timeoutMs };
}

/** What an undo does not say is as of its step; what that does not say is as of every step. */
function undoPolicyOf(plan: Plan, { definition, undo }: StepTemplates): UndoPolicy | null {
  const said = undoOf(definition);
  if (said === null || undo === null) return null;
  const own: Partial<WorkingStep> = 'tool' in definition || 'artifact' in definition ? definition : {};
  return {
    tool: said.tool,
    input: undo.input,
    reads: [...undo.input.steps],
    retry: retryOf({ ...plan.defaults?.retry, ...own.retry, nonRetryable: [] }, said.retry),
    timeoutMs: said.timeoutMs ?? own.timeoutMs ?? plan.defaults?.timeoutMs ?? stepDefaults.timeoutMs,
  };
}

function failurePolicyOf(plan: Plan, definition: PlanStep, value: Template | null): FailurePolicy {
  const said = definition.onError ?? plan.defaults?.onError ?? stepDefaults.onError;
  if (value !== null) return { do: 'value', value };
  if (typeof said === 'object') return 'step' in said ? { do: 'fallback', step: said.step } : { do: 'fail' };
  return { do: said };
}

const cacheOf = (definition: PlanStep): CacheRule | null =>
  'cache' in definition && definition.cache !== undefined ? { ttlMs: definition.cache.ttlMs, scope: definition.cache.scope ?? stepDefaults.cacheScope } : null;

/** A step that goes on after its own failure without anything in its place does so item by item. */
function toleratedItemsOf(plan: Plan, definition: PlanStep, onItemError: PlanStep['onItemError']): number | null {
  if (onItemError === undefined) return (definition.onError ?? plan.defaults?.onError) === 'continue' ? null : 0;
  if (typeof onItemError === 'object') return onItemError.tolerate;
  return onItemError === 'continue' ? null : 0;
}

/** What only steps have that do work. */
type WorkingStep = Pick<Extract<PlanStep, { tool: unknown }>, 'retry' | 'timeoutMs' | 'timeoutInAllMs'>;
type Retry = NonNullable<NonNullable<Plan['defaults']>['retry']>;

/** What an outside may ask for where the plan sets no ceiling: one hour, ms. */
const longestRetryAfterMs = 3_600_000;

/** Field by field: a step that only sets `maxAttempts` keeps the delays of `defaults`. */
function retryOf(defaults: Retry | undefined, own: Retry | undefined): RetryPolicy {
  const fallback = stepDefaults.retry;
  const initialDelayMs = own?.initialDelayMs ?? defaults?.initialDelayMs ?? fallback.initialDelayMs;
  const ceilingMs = own?.maximumDelayMs ?? defaults?.maximumDelayMs;
  return {
    maxAttempts: own?.maxAttempts ?? defaults?.maxAttempts ?? fallback.maxAttempts,
    initialDelayMs,
    maximumDelayMs: Math.max(initialDelayMs, ceilingMs ?? fallback.maximumDelayMs),
    backoffCoefficient: own?.backoffCoefficient ?? defaults?.backoffCoefficient ?? fallback.backoffCoefficient,
    nonRetryable: own?.nonRetryable ?? defaults?.nonRetryable ?? [],
    retryAfterAtMostMs: ceilingMs ?? longestRetryAfterMs,
  };
}
