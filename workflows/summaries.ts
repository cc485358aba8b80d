import type { PlanShape } from '#schemas/shape.ts';

/** Servers may refuse summaries of more than 400 bytes, and sealing one takes some 200. */
const longest = 100;

/** A step, and what it is. */
export interface StepLabel {
  name: string;
  kind: string;
}

/**
 * What Temporal's own UI and CLI show of an activity besides its type: the path and the kind of the steps that it is about. Sealed as every payload is, and never
 * compared when a history is replayed.
 */
export interface Summary {
  summary?: string;
}

/** Null: the plan was saved before shapes had names. */
export function labelOf({ names, steps }: PlanShape, step: number): StepLabel | null {
  const name = names?.[step];
  const kind = steps[step]?.kind;
  return name === undefined || kind === undefined ? null : { name, kind };
}

export function itemSummary(label: StepLabel | null, item?: number): Summary {
  if (label === null) return {};
  return { summary: shortened(`${label.name}${item === undefined ? '' : `[${item}]`} · ${label.kind}`) };
}

export function stepsSummary(shape: PlanShape, steps: readonly number[]): Summary {
  const labels = steps.flatMap((step) => labelOf(shape, step) ?? []);
  if (labels.length === 0) return {};
  const kinds = [...new Set(labels.map(({ kind }) => kind))].join(', ');
  const names = labels.map(({ name }) => name).join(', ');
  return { summary: `${shortened(names, longest - kinds.length)} · ${kinds}` };
}

/** Of the items `from` to `to`, the last one included. */
export const rangeSummary = (label: StepLabel | null, from: number, to: number): Summary =>
  label === null ? {} : { summary: shortened(`${label.name}[${from}…${to}] · ${label.kind}`) };

const shortened = (text: string, most = longest): string => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);
