import { stepDefaults } from '#schemas/plan.ts';
import type { ApprovalDiff, PlanDiff, StepDiff } from '#schemas/plan-diff.ts';
import type { Json } from '#schemas/json.ts';
import type { CompiledStep, LoadedPlan } from './compiled.ts';
import { diffApproval } from './diff-approvals.ts';
import { diffCost, mostModelCalls, type Pricing } from './diff-cost.ts';
import { changesOf, type Facts, oneLevelDown } from './facts.ts';

/** Effects of the tools that are installed, by name. */
export type Effects = ReadonlyMap<string, NonNullable<StepDiff['effect']>>;

/** What is installed where the plans would run. */
export interface Installed {
  effects: Effects;
  pricing: Pricing;
  /** Of all prices. */
  currency: string;
}

/** What is different for those who run `to` instead of `from`. Descriptions, and a default that is written out, are no difference. */
export function diffPlans(from: LoadedPlan, to: LoadedPlan, installed: Installed): PlanDiff {
  const { effects } = installed;
  const [before, after] = [byId(from), byId(to)];
  const ids = [...new Set([...after.keys(), ...before.keys()])];
  const steps = ids.map((id) => diffStep(before.get(id), after.get(id), effects)).filter((step) => step !== null);
  const header = changesOf(headerOf(from), headerOf(to));
  const approvals = ids.map((id) => diffApproval(before.get(id)?.step, after.get(id)?.step)).filter((approval): approval is ApprovalDiff => approval !== null);
  const modelCalls = { from: mostModelCalls(from), to: mostModelCalls(to) };
  return { equal: steps.length === 0 && header.length === 0, header, steps, approvals, modelCalls, cost: diffCost(from, to, installed) };
}

/** A step, and what its plan says of failures where it says nothing. */
interface Placed {
  step: CompiledStep;
  onError: Json;
}

function byId({ document, steps }: LoadedPlan): Map<string, Placed> {
  const defaults = (document.defaults ?? {}) as Facts;
  return new Map(steps.map((step) => [step.id, { step, onError: defaults.onError ?? stepDefaults.onError }]));
}

function diffStep(before: Placed | undefined, after: Placed | undefined, effects: Effects): StepDiff | null {
  const shown = (after ?? before)?.step;
  if (shown === undefined) return null;
  const about = { id: shown.id, kind: shown.kind, ...usedBy(shown, effects) };
  if (before === undefined) return { ...about, change: 'added', changes: [] };
  if (after === undefined) return { ...about, change: 'removed', changes: [] };
  const changes = changesOf(factsOf(before.step, before.onError), factsOf(after.step, after.onError));
  return changes.length === 0 ? null : { ...about, change: 'changed', changes };
}

function usedBy({ definition }: CompiledStep, effects: Effects): Pick<StepDiff, 'tool' | 'effect' | 'model'> {
  if ('tool' in definition) return { tool: definition.tool, effect: effects.get(definition.tool) ?? 'unknown' };
  return 'llm' in definition ? { model: definition.llm.model } : {};
}

/** What a step does and how far it may go, as it holds: with what `defaults` and the language say where the step does not. */
function factsOf(step: CompiledStep, onError: Json): Facts {
  const { retry: _retry, ...own } = step.definition as unknown as Facts;
  const bounds = isWork(step) ? { timeoutMs: step.timeoutMs, retry: { ...step.retry, nonRetryable: [...step.retry.nonRetryable] } } : {};
  const items = step.forEach === null ? {} : { concurrency: step.concurrency };
  const cache = step.cache === null ? {} : { cache: { ...step.cache } };
  const approval = 'approval' in step.definition ? { approval: { ...stepDefaults.approval, ...step.definition.approval } as unknown as Json } : {};
  const repeat = step.repeat === null ? {} : { repeat: { everyMs: step.repeat.everyMs, onExhausted: step.repeat.onExhausted, ...(own.repeat as Facts) } };
  return oneLevelDown({ onError, ...own, ...bounds, ...items, ...cache, ...approval, ...repeat });
}

/** Of the others, attempts and their bounds mean nothing. */
const isWork = ({ kind }: CompiledStep): boolean => !['wait', 'signal', 'approval', 'plan'].includes(kind);

/** Of the plan as a whole; what `defaults` says shows in the steps. */
function headerOf({ document }: LoadedPlan): Facts {
  const { steps: _steps, defaults: _defaults, version: _version, description: _description, plan: _plan, ...rest } = document;
  return { fuse: 'pure', maxInFlight: stepDefaults.maxInFlight, ...rest };
}
