import type { RunHistory, ShownHistoryEvent } from '#schemas/history.ts';
import type { JsonObject } from '#schemas/json.ts';
import { isFinalRunStatus } from '#schemas/run.ts';
import type { Database } from '#services/database/connect.ts';
import { decodeCursor, encodeCursor } from '#services/paging/page.ts';
import type { HistoryDoor, HistoryEvent, HistoryPage, HistoryPlace } from '#services/temporal/history-door.ts';
import { readRun } from './read.ts';

export interface HistoryRequest {
  workspaceId: string;
  runId: string;
  /** Only events whose type has this in it, whatever its case; null: all. Pages are cut before. */
  type: string | null;
  /** Only events of this step; null: all. */
  stepPath: string | null;
  cursor: string | null;
  limit: number;
}

/** What Temporal keeps of a run, the newest first, each event with the steps it is about. Throws KosError `run_not_found`, `cursor_invalid`. */
export async function readHistory(database: Database, door: HistoryDoor, request: HistoryRequest): Promise<RunHistory> {
  const { workspaceId, runId } = request;
  const run = await database.inWorkspace(workspaceId, (transaction) => readRun(transaction, runId));
  const page = await door.page(runId, placeOf(request.cursor), request.limit);
  if (page === null) return absent(run.startedAt !== null && isFinalRunStatus(run.status));
  const places = stepPlaces(page.events);
  const paths = await readPaths(database, workspaceId, runId, [...places.values()].flat());
  const items = page.events.map((event) => showEvent(event, page, places, paths)).filter((event) => isAskedFor(event, request));
  return {
    state: 'kept',
    text: 'Temporal keeps this history.',
    items,
    nextCursor: page.next === null ? null : encodeCursor([page.next.execution, page.next.token, page.next.before]),
  };
}

const absent = (hadOne: boolean): RunHistory => ({
  state: hadOne ? 'expired' : 'not_started',
  text: hadOne
    ? 'History expired: Temporal keeps it no longer. Steps, events and the audit log of the run are still here.'
    : 'Temporal has no history of this run: it never began there, or is about to begin.',
  items: [],
  nextCursor: null,
});

function placeOf(cursor: string | null): HistoryPlace | null {
  if (cursor === null) return null;
  const [execution, token, before] = decodeCursor(cursor, ['string', 'string', 'number']) as [string, string, number];
  return { execution, token, before };
}

interface StepPlace {
  step: number;
  item: number | null;
}

/** The steps that a page's scheduling events name in their input, by event id. */
function stepPlaces(events: readonly HistoryEvent[]): Map<number, StepPlace[]> {
  return new Map(events.map(({ id, attributes }) => [id, placesIn(attributes)]));
}

function placesIn({ input }: JsonObject): StepPlace[] {
  const [given] = (input as { payloads?: unknown[] } | undefined)?.payloads ?? [];
  if (typeof given !== 'object' || given === null) return [];
  const { step, steps, item } = given as { step?: unknown; steps?: unknown; item?: unknown };
  const numbers = [step, ...(Array.isArray(steps) ? steps : [])].filter((value) => typeof value === 'number');
  return numbers.map((number) => ({ step: number, item: typeof item === 'number' ? item : null }));
}

const keyOf = ({ step, item }: StepPlace): string => `${step}:${item ?? ''}`;

/** Paths by place; a step that has rounds goes by its own path, without a round's number. */
async function readPaths(database: Database, workspaceId: string, runId: string, places: StepPlace[]): Promise<Map<string, string>> {
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

/** Fields in which events name the one that they answer. */
const answers = ['scheduledEventId', 'initiatedEventId', 'startedEventId'] as const;

function showEvent(event: HistoryEvent, page: HistoryPage, places: Map<number, StepPlace[]>, paths: Map<string, string>): ShownHistoryEvent {
  const field = answers.find((name) => Number(event.attributes[name] ?? 0) > 0);
  const group = field === undefined ? null : Number(event.attributes[field]);
  const named = (group === null ? undefined : places.get(group)) ?? places.get(event.id) ?? [];
  const steps = named.map((place) => paths.get(keyOf(place))).filter((path) => path !== undefined);
  return { id: event.id, execution: page.execution, at: event.at, type: event.type, group, steps, attributes: event.attributes };
}

const isAskedFor = (event: ShownHistoryEvent, { type, stepPath }: HistoryRequest): boolean =>
  (type === null || event.type.toLowerCase().includes(type.toLowerCase())) && (stepPath === null || event.steps.includes(stepPath));
