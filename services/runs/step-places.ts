import type { JsonObject } from '#schemas/json.ts';
import type { Database } from '#services/database/connect.ts';

/** How workflows name a step to their activities: by numbers. */
export interface StepPlace {
  step: number;
  item: number | null;
}

interface Payloads {
  payloads?: unknown[];
}

interface Named {
  step?: unknown;
  steps?: unknown;
  item?: unknown;
  from?: unknown;
  to?: unknown;
}

/** The steps that a scheduling event names in its input, or the marker of a quick unit, or of a batch of items, in its result. */
export function placesIn(attributes: JsonObject): StepPlace[] {
  const { step, steps, item } = namedIn(attributes);
  const numbers = [step, ...(Array.isArray(steps) ? steps : [])].filter((value) => typeof value === 'number');
  return numbers.map((number) => ({ step: number, item: typeof item === 'number' ? item : null }));
}

/** The items that the marker of a batch is about. */
export function itemsIn(attributes: JsonObject): StepPlace[] {
  const { step, from, to } = namedIn(attributes);
  if (typeof step !== 'number' || typeof from !== 'number' || typeof to !== 'number') return [];
  return Array.from({ length: to - from + 1 }, (_, position) => ({ step, item: from + position }));
}

function namedIn({ input, details }: JsonObject): Named {
  const said = (input as Payloads | undefined) ?? (details as { result?: Payloads } | undefined)?.result;
  const [given] = said?.payloads ?? [];
  return typeof given === 'object' && given !== null ? given : {};
}

export const keyOf = ({ step, item }: StepPlace): string => `${step}:${item ?? ''}`;

/** Paths by place; a step that has rounds goes by its own path, without a round's number. */
export async function readPaths(database: Database, workspaceId: string, runId: string, places: StepPlace[]): Promise<Map<string, string>> {
  if (places.length === 0) return new Map();
  const steps = [...new Set(places.map(({ step }) => step))];
  const items = [...new Set(places.map(({ item }) => item ?? -1))];
  const rows = await database.inWorkspace(
    workspaceId,
    ({ sql }) => sql<{ step: number; item: number | null; path: string }[]>`
      select step, item, path from kos.steps
      where run_id = ${runId} and undoes is null and step in ${sql(steps)} and coalesce(item, -1) in ${sql(items)}`,
  );
  return new Map(rows.map((row) => [keyOf(row), row.path.replace(/#\d+$/, '')]));
}
