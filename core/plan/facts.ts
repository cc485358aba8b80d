import { canonicalJson } from '#core/expression/values.ts';
import type { Json } from '#schemas/json.ts';
import type { PlanDiff } from '#schemas/plan-diff.ts';

/** What holds of a thing, by field. */
export type Facts = Record<string, Json>;

/** What is different, field by field; null: not said. */
export type FieldChange = PlanDiff['header'][number];

/** So that a change names `llm.model` and not the whole call. */
export function oneLevelDown(facts: Facts): Facts {
  const parts = Object.entries(facts).flatMap(([name, value]): [string, Json][] =>
    isObject(value) && Object.keys(value).length > 0 ? Object.entries(value).map(([inner, part]) => [`${name}.${inner}`, part]) : [[name, value]],
  );
  return Object.fromEntries(parts);
}

const isObject = (value: Json): value is Facts => typeof value === 'object' && value !== null && !Array.isArray(value);

export function changesOf(before: Facts, after: Facts): FieldChange[] {
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
  const different = fields.filter((field) => textOf(before[field]) !== textOf(after[field]));
  return different.map((field) => ({ field, from: before[field] ?? null, to: after[field] ?? null }));
}

const textOf = (value: Json | undefined): string => (value === undefined ? '' : canonicalJson(value));
