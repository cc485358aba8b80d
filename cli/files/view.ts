import type { Comparison, FileChange, Named } from '#core/files/compare.ts';
import type { FileFault, FileText } from '#core/files/wanted.ts';
import type { PlanDiff } from '#schemas/plan-diff.ts';
import type { Colours } from '../output.ts';
import { describeChange, describePlanDiff, marks, showShort } from '../plan-diff-view.ts';
import type { PlanFile } from '../plan-faults.ts';
import { visibleLine } from '../terminal-text.ts';
import { describeInstant } from '../times.ts';
import type { Made } from './perform.ts';

/** Of changed plans, what differs. */
export type PlanDiffs = ReadonlyMap<string, PlanDiff>;

const markOf = { create: marks.added, change: marks.changed, remove: marks.removed } as const;

export function describeComparison(comparison: Comparison, diffs: PlanDiffs, colours: Colours): string {
  const { changes, unchanged } = comparison;
  const count = (action: FileChange['action']): number => changes.filter((change) => change.action === action).length;
  const total = `${count('create')} to make, ${count('change')} to change, ${count('remove')} to remove; ${unchanged.length} as they should be.`;
  return [...changes.flatMap((change) => describeFileChange(change, diffs, colours)), total].join('\n');
}

function describeFileChange(change: FileChange, diffs: PlanDiffs, colours: Colours): string[] {
  const { kind, name, action, path } = change;
  const paint = { create: colours.green, change: colours.yellow, remove: colours.red }[action];
  const invites = kind === 'roles' && action === 'create' ? ', by an invitation' : '';
  const what = kind === name ? kind : `${kind} ${visibleLine(name)}`;
  const head = `${paint(`${markOf[action]} ${what}`)} ${colours.dim(`(${path === null ? 'in no file' : visibleLine(path)}${invites})`)}`;
  return [head, ...linesOf(change, diffs, colours).map((line) => `    ${line}`)];
}

function linesOf({ kind, name, action, fields }: FileChange, diffs: PlanDiffs, colours: Colours): string[] {
  const diff = kind === 'plan' ? diffs.get(name) : undefined;
  if (diff !== undefined) return diff.equal ? ['It does the same; its description or its form is another.'] : describePlanDiff(diff, colours).split('\n');
  return fields.map((field) => (action === 'create' && field.from === null ? `${field.field}: ${showShort(field.to)}` : describeChange(field)));
}

/** What nobody wrote down, in a line for each kind. */
export function describeOthers(others: readonly Named[]): string {
  const kinds = [...new Set(others.map(({ kind }) => kind))];
  const lines = kinds.map((kind) => `  ${kind}: ${others.flatMap((other) => (other.kind === kind ? [visibleLine(other.name)] : [])).join(', ')}`);
  return ['In no file, and left alone:', ...lines].join('\n');
}

/** Each file with its faults, in the order of the files. */
export function faultyFiles(files: readonly FileText[], faults: readonly FileFault[]): PlanFile[] {
  return files.flatMap(({ path, text }) => {
    const errors = faults.flatMap((found) => (found.path === path ? [found.fault] : []));
    return errors.length === 0 ? [] : [{ path, source: text, errors }];
  });
}

export function describeMade(made: Made, now: number): string[] {
  if ('trigger' in made) return [`trigger ${made.trigger}`, `  address  ${made.url}`, `  secret   ${made.secret}`];
  if ('webhook' in made) return [`webhook ${made.webhook}`, `  secret   ${made.secret}`];
  return [`invitation of ${visibleLine(made.invited)}, good ${describeInstant(made.expiresAt, now).replace(/^in /, 'for ')}`, `  ${made.url}`];
}
