import type { RunHistory, ShownHistoryEvent } from '#schemas/history.ts';
import { isFinalRunStatus, type Run } from '#schemas/run.ts';
import type { Database } from '#services/database/connect.ts';
import { decodeCursor, encodeCursor } from '#services/paging/page.ts';
import type { HistoryDoor, HistoryEvent, HistoryPage, HistoryPlace } from '#services/temporal/history-door.ts';
import { makeRunWorkflowId } from '#workflows/ids.ts';
import { readRun } from './read.ts';
import { itemPath } from '#core/plan/step-path.ts';
import { itemsIn, keyOf, placesIn, readPaths, type StepPlace } from './step-places.ts';

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
  const page = await door.page(makeRunWorkflowId(runId), placeOf(request.cursor), request.limit);
  if (page === null) return { ...absence(run), items: [], nextCursor: null };
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

/** Temporal knows nothing of a run: what that means. */
export function absence(run: Run): Pick<RunHistory, 'state' | 'text'> {
  if (run.startedAt !== null && isFinalRunStatus(run.status)) {
    return { state: 'expired', text: 'History expired: Temporal keeps it no longer. Steps, events and the audit log of the run are still here.' };
  }
  return { state: 'not_started', text: 'Temporal has no history of this run: it never began there, or is about to begin.' };
}

function placeOf(cursor: string | null): HistoryPlace | null {
  if (cursor === null) return null;
  const [execution, token, before] = decodeCursor(cursor, ['string', 'string', 'number']) as [string, string, number];
  return { execution, token, before };
}

/** The steps that a page's scheduling events name in their input, by event id. */
function stepPlaces(events: readonly HistoryEvent[]): Map<number, StepPlace[]> {
  return new Map(events.map(({ id, attributes }) => [id, placesIn(attributes)]));
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
  (type === null || event.type.toLowerCase().includes(type.toLowerCase())) && (stepPath === null || isAbout(event, stepPath));

/** A batch is shown by its step, and found by each of its items. */
const isAbout = ({ steps, attributes }: ShownHistoryEvent, stepPath: string): boolean =>
  steps.includes(stepPath) || itemsIn(attributes).some(({ item }) => steps.some((step) => itemPath(step, item) === stepPath));
