import type { Json } from '#schemas/json.ts';
import type { PlanDiff, StepDiff } from '#schemas/plan-diff.ts';
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
  return [...approvals, ...header, ...diff.steps.flatMap((step) => describeStep(step, colours)), ...describeCalls(diff)].join('\n');
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

function describeCalls({ modelCalls: { from, to } }: PlanDiff): string[] {
  if (from === to) return [];
  const most = (calls: number | null): string => (calls === null ? 'known only when it runs' : String(calls));
  return [`model calls at most, attempts counted: ${most(from)} → ${most(to)}`];
}
