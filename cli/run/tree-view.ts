import type { Colours } from '../output.ts';
import { paintOfStatus, symbolOfStatus } from '../status-words.ts';
import { columnsOf, cutToColumns, visibleLine } from '../terminal-text.ts';
import { describeDuration } from '../times.ts';
import { endedItems, endedStatuses, type ItemCounts, type StepLine, type StepTree } from './step-tree.ts';

export interface StepsView {
  colours: Colours;
  columns: number;
  /** Lines for steps at most; null: all of them. */
  rows: number | null;
  /** Milliseconds since the epoch. */
  now: number;
}

export interface TreeView extends StepsView {
  title: string;
}

/** The run's state, then its steps. */
export const renderTree = (tree: StepTree, view: TreeView): string => [...describeRun(tree, view), renderSteps(tree, view)].join('\n');

/** A line per step; what does not fit is counted, the finished first: what happens now is what matters. */
export function renderSteps(tree: StepTree, view: StepsView): string {
  const shown = chooseLines([...tree.steps.values()], view.rows);
  const nameColumns = Math.min(40, Math.max(4, ...shown.lines.map((line) => columnsOf(line.path))));
  const kindColumns = Math.min(20, Math.max(4, ...shown.lines.map((line) => columnsOf(line.kind))));
  const body = shown.lines.map((line) => renderLine(line, nameColumns, kindColumns, view));
  const before = shown.endedBefore > 0 ? [view.colours.dim(`  … ${shown.endedBefore} finished`)] : [];
  const after = shown.hiddenAfter > 0 ? [view.colours.dim(`  … ${shown.hiddenAfter} more`)] : [];
  return [...before, ...body, ...after].join('\n');
}

function describeRun(tree: StepTree, view: TreeView): string[] {
  const status = paintOfStatus(tree.status, view.colours)(tree.status);
  const ended = [...tree.steps.values()].filter((line) => endedStatuses.has(line.status)).length;
  const count = view.colours.dim(`${ended} of ${tree.steps.size} steps`);
  const waiting = tree.waitingFor === null ? [] : [view.colours.yellow(`  ${cutToColumns(visibleLine(tree.waitingFor.text), view.columns - 3)}`)];
  return [`${view.title}  ${status}  ${count}`, ...waiting];
}

/** Finished steps give way first, from the oldest; then those to come, from the last. */
function chooseLines(lines: StepLine[], rows: number | null): { lines: StepLine[]; endedBefore: number; hiddenAfter: number } {
  if (rows === null || lines.length <= rows) return { lines, endedBefore: 0, hiddenAfter: 0 };
  const firstOpen = lines.findIndex((line) => !endedStatuses.has(line.status));
  const from = Math.min(firstOpen === -1 ? lines.length : Math.max(0, firstOpen - 2), Math.max(0, lines.length - rows));
  const shown = lines.slice(from, from + rows);
  return { lines: shown, endedBefore: from, hiddenAfter: lines.length - from - shown.length };
}

function renderLine(line: StepLine, nameColumns: number, kindColumns: number, view: StepsView): string {
  const { status } = line;
  const paint = paintOfStatus(status, view.colours);
  const name = cutToColumns(visibleLine(line.path), nameColumns);
  const kind = cutToColumns(visibleLine(line.kind), kindColumns);
  const start = `${symbolOfStatus(status)} ${name}${' '.repeat(nameColumns - columnsOf(name))}`;
  const end = `${kind}${' '.repeat(kindColumns - columnsOf(kind))}`;
  const rest = cutToColumns(describeLine(line, view.now), Math.max(10, view.columns - columnsOf(start) - columnsOf(end) - 7));
  return `  ${paint(start)}  ${view.colours.dim(end)}  ${status === 'failed' || status === 'uncertain' ? paint(rest) : rest}`.trimEnd();
}

function describeLine(line: StepLine, now: number): string {
  const parts: string[] = [];
  if (line.items !== null) parts.push(describeItems(line.items));
  if (line.round !== null) parts.push(`round ${(line.round + 1).toLocaleString('en-US')}`);
  const duration = durationOf(line, now);
  if (duration !== null) parts.push(duration);
  if (line.attempt > 1) parts.push(`attempt ${line.attempt}`);
  if (line.status === 'skipped') parts.push('skipped');
  if (line.text !== null) parts.push(visibleLine(line.text));
  parts.push(...[...line.labels].map(visibleLine));
  return parts.join(', ');
}

function durationOf(line: StepLine, now: number): string | null {
  if (line.startedAt === null) return null;
  const end = line.finishedAt === null ? now : Date.parse(line.finishedAt);
  return describeDuration(end - Date.parse(line.startedAt));
}

/** 4,000 of 10,000 done, 20 running, 1 retrying, 2 failed */
export function describeItems(items: ItemCounts): string {
  const number = (count: number): string => count.toLocaleString('en-US');
  const ended = endedItems(items);
  const done = items.total === null ? `${number(ended)} done` : `${number(ended)} of ${number(items.total)} done`;
  const others = (['running', 'retrying', 'waiting', 'failed', 'uncertain', 'cancelled', 'compensated'] as const)
    .map((status) => [status, items.counts[status] ?? 0] as const)
    .filter(([, count]) => count > 0)
    .map(([status, count]) => `${number(count)} ${status}`);
  const reused = items.reused === 0 ? [] : [`${number(items.reused)} reused`];
  return [done, ...reused, ...others].join(', ');
}
