import type { KosEvent } from '#schemas/event.ts';
import type { JsonObject } from '#schemas/json.ts';
import { parseStepPath, undoneBy, undoPath } from '#core/plan/step-path.ts';
import type { RunStatus, Step, StepStatus, WaitingFor } from '#schemas/run.ts';
import { labelsIn } from './labels.ts';
import { describeReuse } from './reuse.ts';

/**
 * What is known of a run's steps, kept up to date from its events. A `forEach` is one line with counts, however many items it has: 10,000 items cost
 * one small entry each and no line.
 */
export interface StepTree {
  status: RunStatus;
  waitingFor: WaitingFor | null;
  /** In the plan's order; steps the plan does not name (of a newer kOS) come after. */
  steps: Map<string, StepLine>;
  /** Steps of it run other plans, in runs of their own. */
  hasSubRuns: boolean;
  /** The tool of each undo, by its path: they have lines only when they have begun. */
  undoTools: ReadonlyMap<string, string>;
}

export interface StepLine {
  path: string;
  kind: string;
  status: StepStatus;
  attempt: number;
  startedAt: string | null;
  finishedAt: string | null;
  /** The error's or wait's own words. */
  text: string | null;
  /** A `forEach`, by its plan. */
  repeats: boolean;
  /** Each try at it is a run. */
  runsPlan: boolean;
  items: ItemCounts | null;
  /** Of a `repeat`: the round it is at, from 0; null: it has none. */
  round: number | null;
  /** What a reader must know of how its output came to be, as models say it. */
  labels: Set<string>;
}

export interface ItemCounts {
  /** Null: not known (yet). */
  total: number | null;
  statusOf: Map<number, StepStatus>;
  counts: Partial<Record<StepStatus, number>>;
  /** Of the succeeded: those whose output is that of an earlier step. */
  reused: number;
}

export const endedStatuses: ReadonlySet<StepStatus> = new Set<StepStatus>(['succeeded', 'failed', 'skipped', 'cancelled', 'uncertain', 'compensated']);

/** The plan's steps, all still to come. */
export function createStepTree(plan: JsonObject, status: RunStatus): StepTree {
  const steps = new Map<string, StepLine>();
  const undoTools = new Map<string, string>();
  for (const [path, definition] of Object.entries(plan['steps'] ?? {})) {
    if (typeof definition !== 'object' || definition === null || Array.isArray(definition)) continue;
    steps.set(path, newLine(path, kindOf(definition), { repeats: 'forEach' in definition, runsPlan: 'plan' in definition }));
    const { undo } = definition;
    if (typeof undo === 'object' && undo !== null && 'tool' in undo && typeof undo.tool === 'string') undoTools.set(undoPath(path), undo.tool);
  }
  return { status, waitingFor: null, steps, hasSubRuns: [...steps.values()].some(({ runsPlan }) => runsPlan), undoTools };
}

function kindOf(definition: JsonObject): string {
  const tool = definition['tool'];
  if (typeof tool === 'string') return tool;
  if (typeof definition['plan'] === 'string') return definition['plan'];
  return ['transform', 'llm', 'artifact', 'wait', 'approval', 'signal'].find((kind) => kind in definition) ?? 'step';
}

const newLine = (path: string, kind: string, is = { repeats: false, runsPlan: false }): StepLine => ({
  path,
  kind,
  status: 'pending',
  attempt: 0,
  startedAt: null,
  finishedAt: null,
  text: null,
  ...is,
  items: null,
  round: null,
  labels: new Set(),
});

/** `explain[12]` is item 12 of `explain`, `poll#3` is round 3 of `poll`, and `explain[12]#3` a round of that item; `book[2]~undo` is item 2 of `book~undo`. */
export function splitPath(path: string): { path: string; item: number | null; round: number | null } {
  const { id, item, iteration, undo } = parseStepPath(path);
  return { path: undo ? undoPath(id) : id, item, round: iteration };
}

/** Takes an event in; the same event twice changes nothing. */
export function applyEvent(tree: StepTree, event: KosEvent): void {
  if (event.type.startsWith('run.')) applyRunEvent(tree, event);
  else if (event.type.startsWith('step.')) applyStepEvent(tree, event);
  else if (event.type === 'approval.requested') applyWait(tree, event, 'waits for a decision');
}

const statusByRunEvent: Readonly<Record<string, RunStatus>> = {
  'run.accepted': 'queued',
  'run.started': 'running',
  'run.waiting': 'waiting',
  'run.paused': 'paused',
  'run.resumed': 'running',
  'run.compensating': 'running',
  'run.succeeded': 'succeeded',
  'run.failed': 'failed',
  'run.cancelled': 'cancelled',
  'run.terminated': 'terminated',
};

function applyRunEvent(tree: StepTree, event: KosEvent): void {
  tree.status = statusByRunEvent[event.type] ?? tree.status;
  tree.waitingFor = event.type === 'run.waiting' ? ((event.data['waitingFor'] ?? null) as WaitingFor | null) : null;
}

const statusByStepEvent: Readonly<Record<string, StepStatus>> = {
  'step.started': 'running',
  'step.retrying': 'retrying',
  'step.succeeded': 'succeeded',
  'step.failed': 'failed',
  'step.skipped': 'skipped',
  'step.uncertain': 'uncertain',
  'step.waiting': 'waiting',
  'step.compensated': 'compensated',
};

function applyStepEvent(tree: StepTree, event: KosEvent): void {
  const status = statusByStepEvent[event.type];
  const stepPath = event.data['stepPath'];
  if (status === undefined || typeof stepPath !== 'string') return;
  const { path, item, round } = splitPath(stepPath);
  const line = lineOf(tree, path, textOf(event.data['kind']) ?? 'step');
  if (countUndo(line, { item, round }, status, event.at)) return;
  for (const label of labelsIn(event.data['labels'])) line.labels.add(label);
  if (round !== null) {
    if (item === null) beAtRound(line, round, status, errorText(event.data['error']) ?? errorText(event.data['waitingFor']));
    return;
  }
  if (item !== null) {
    countItem(line, item, status, event.at, event.data['reusedFrom']);
    return;
  }
  line.status = status;
  if (typeof event.data['attempt'] === 'number') line.attempt = event.data['attempt'];
  if (status === 'running') line.startedAt ??= event.at;
  if (endedStatuses.has(status) && status !== 'compensated') line.finishedAt = event.at;
  line.text = errorText(event.data['error']) ?? errorText(event.data['waitingFor']) ?? describeReuse(event.data['reusedFrom']);
}

/** Rounds come one after the other: one line shows the last of them. What came of the step its own event tells. */
function beAtRound(line: StepLine, round: number, status: StepStatus, text: string | null): void {
  line.round = Math.max(round, line.round ?? 0);
  if (endedStatuses.has(line.status)) return;
  line.status = status === 'retrying' || status === 'waiting' ? status : 'running';
  line.text = text;
}

function applyWait(tree: StepTree, event: KosEvent, text: string): void {
  const stepPath = event.data['stepPath'];
  if (typeof stepPath !== 'string') return;
  const { path, item } = splitPath(stepPath);
  const line = lineOf(tree, path, 'approval');
  if (item !== null) {
    countItem(line, item, 'waiting', event.at);
    return;
  }
  line.status = 'waiting';
  line.startedAt ??= event.at;
  line.text = text;
}

/** Takes a step's row in, as `GET /v1/runs/{id}/steps` lists it. */
export function applyStep(tree: StepTree, step: Step): void {
  const { path, item, round } = splitPath(step.path);
  const line = lineOf(tree, path, step.kind);
  if (countUndo(line, { item, round }, step.status, step.finishedAt ?? step.startedAt)) return;
  for (const label of labelsIn(step.metadata['labels'])) line.labels.add(label);
  if (round !== null) {
    if (item === null) line.round = Math.max(round, line.round ?? 0);
    return;
  }
  if (item !== null) {
    countItem(line, item, step.status, step.startedAt, step.metadata['reusedFrom']);
    return;
  }
  line.status = step.status;
  line.attempt = step.attempt;
  line.startedAt = step.startedAt;
  line.finishedAt = step.finishedAt;
  line.text =
    step.error?.message ?? step.waitingFor?.text ?? describeReuse(step.metadata['reusedFrom']) ?? (line.runsPlan ? textOf(step.metadata['runId']) : null);
  applyItemTotal(tree, step);
}

/** Events do not tell how many items a `forEach` has; its step's row does. */
export function applyItemTotal(tree: StepTree, step: Step): void {
  const line = tree.steps.get(step.path);
  if (line !== undefined && typeof step.metadata['items'] === 'number') itemsOf(line).total = step.metadata['items'];
}

/** The `forEach` that this event has opened, if its number of items is not known yet. */
export function openedItems(tree: StepTree, event: KosEvent): string | null {
  const path = event.data['stepPath'];
  if (event.type !== 'step.started' || typeof path !== 'string') return null;
  const line = tree.steps.get(path);
  return line?.repeats === true && (line.items?.total ?? null) === null ? path : null;
}

function lineOf(tree: StepTree, path: string, kind: string): StepLine {
  const known = tree.steps.get(path);
  if (known !== undefined) return known;
  const line = newLine(path, tree.undoTools.get(path) ?? kind);
  tree.steps.set(path, line);
  return line;
}

const itemsOf = (line: StepLine): ItemCounts => (line.items ??= { total: null, statusOf: new Map(), counts: {}, reused: 0 });

function countItem(line: StepLine, item: number, status: StepStatus, at: string | null, reusedFrom?: unknown): void {
  const items = itemsOf(line);
  const before = items.statusOf.get(item);
  if (before === status) return;
  if (before !== undefined) items.counts[before] = (items.counts[before] ?? 1) - 1;
  items.statusOf.set(item, status);
  if (describeReuse(reusedFrom) !== null) items.reused += 1;
  items.counts[status] = (items.counts[status] ?? 0) + 1;
  line.startedAt ??= at;
  if (line.status === 'pending') line.status = 'running';
}

/** The rounds of one item, at most. */
const roundsOfItem = 10_000;

/** The undos of a step's items and rounds are one line, which has no row of its own. False: it is another line. */
function countUndo(line: StepLine, { item, round }: { item: number | null; round: number | null }, status: StepStatus, at: string | null): boolean {
  if (undoneBy(line.path) === line.path || (item === null && round === null)) return false;
  countItem(line, (item ?? 0) * roundsOfItem + (round ?? 0), status, at);
  const { counts, statusOf } = itemsOf(line);
  const open = endedItems(itemsOf(line)) < statusOf.size;
  const worst = (['uncertain', 'failed'] as const).find((bad) => (counts[bad] ?? 0) > 0);
  line.status = open ? 'running' : (worst ?? 'succeeded');
  line.finishedAt = open ? null : at;
  return true;
}

export const endedItems = (items: ItemCounts): number => [...endedStatuses].reduce((sum, status) => sum + (items.counts[status] ?? 0), 0);

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** The message of an error, or the text of a wait. */
function errorText(error: unknown): string | null {
  if (typeof error !== 'object' || error === null) return null;
  return 'message' in error ? textOf(error.message) : 'text' in error ? textOf(error.text) : null;
}
