import type { Json } from '#schemas/json.ts';
import type { ModelUse, PlanDiff, StepDiff } from '#schemas/plan-diff.ts';
import type { Colours } from './output.ts';
import { visibleLine } from './terminal-text.ts';

/** Approvals first: a change of what people must allow is what a reader must not miss. */
export function describePlanDiff(diff: PlanDiff, colours: Colours): string {
  if (diff.equal) return 'Nothing differs.';
  const approvals = diff.approvals.map(({ id, verdict, because }) => {
    const paint = verdict === 'tightened' ? colours.green : colours.red;
    return `${paint(`approval ${id} ${verdict}`)}: ${because.map(visibleLine).join('; ')}`;
  });
  const header = diff.header.map((change) => `~ ${describeChange(change)}`);
  return [...approvals, ...header, ...diff.steps.flatMap((step) => describeStep(step, colours)), ...describeCost(diff)].join('\n');
}

export const marks = { added: '+', removed: '-', changed: '~' } as const;

function describeStep(step: StepDiff, colours: Colours): string[] {
  const paint = { added: colours.green, removed: colours.red, changed: colours.yellow }[step.change];
  const used = [step.tool, step.effect, step.model].filter((part) => part !== undefined).map(visibleLine);
  const head = paint(`${marks[step.change]} ${visibleLine(step.id)}`);
  return [`${head} ${step.kind}${used.length === 0 ? '' : ` (${used.join(', ')})`}`, ...step.changes.map((change) => `    ${describeChange(change)}`)];
}

export const describeChange = ({ field, from, to }: PlanDiff['header'][number]): string => `${visibleLine(field)}: ${showShort(from)} → ${showShort(to)}`;

const longest = 200;

/** `--json` has every value whole. */
export function showShort(value: Json): string {
  if (value === null) return 'none';
  const text = visibleLine(JSON.stringify(value));
  return text.length <= longest ? text : `${text.slice(0, longest)}… (${text.length} characters)`;
}

/** What one run may call, and at which price; nothing where no plan calls a model. */
function describeCost({ modelCalls: { from, to }, cost }: PlanDiff): string[] {
  const { currency, steps, outputMicrosAtMost: output } = cost;
  const inMoney = (micros: number | null): string => (micros === null ? 'not known' : money(micros, currency));
  const calls = from === to && steps.length === 0 ? [] : [`model calls at most, attempts counted: ${describeMost(from)} → ${describeMost(to)}`];
  const bound = output.from === output.to ? [] : [`their output costs at most: ${inMoney(output.from)} → ${inMoney(output.to)}`];
  return [...steps.map((step) => describeStepCost(step, currency)), ...calls, ...bound];
}

/** Whole, not rounded: prices are compared. */
const money = (micros: number, currency: string): string => `${micros / 1_000_000} ${visibleLine(currency)}`;

const describeMost = (calls: number | null): string => (calls === null ? 'known only when it runs' : String(calls));

function describeStepCost({ id, from, to }: PlanDiff['cost']['steps'][number], currency: string): string {
  const model = describeModels(from, to);
  const [before, after] = [from, to].map((use) => (use === null ? null : describePrice(use.price, currency)));
  const price = before === after || before === null || after === null ? (after ?? before ?? '') : `${before} → ${after}`;
  const [few, many] = [from, to].map((use) => (use === null ? '0' : describeMost(use.callsAtMost)));
  return `cost ${visibleLine(id)}: ${model}: ${price}; calls at most: ${few === many ? few : `${few} → ${many}`}${describeOutputBounds(from, to)}`;
}

/** One name may stand for another model where an answer must fit a schema. */
function describeModels(from: ModelUse | null, to: ModelUse | null): string {
  const isAmbiguous = from?.model === to?.model && from?.resolvesTo !== to?.resolvesTo;
  const [before, after] = [from, to].map((use) => {
    if (use === null) return 'none';
    return visibleLine(isAmbiguous ? `${use.model} (${use.resolvesTo ?? 'no model that is installed'})` : use.model);
  });
  return before === after ? `${after}` : `${before} → ${after}`;
}

function describeOutputBounds(from: ModelUse | null, to: ModelUse | null): string {
  if (from === null || to === null || from.maxOutputTokens === to.maxOutputTokens) return '';
  const [before, after] = [from, to].map(({ maxOutputTokens }) => maxOutputTokens ?? 'no bound');
  return `; output tokens of a call at most: ${before} → ${after}`;
}

function describePrice(price: ModelUse['price'], currency: string): string {
  if (price === null) return 'price not known';
  if (price.inputMicros === 0 && price.outputMicros === 0) return 'free';
  return `${money(price.inputMicros, currency)} in, ${money(price.outputMicros, currency)} out per million tokens`;
}
