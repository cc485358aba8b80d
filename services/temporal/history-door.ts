import type { Connection } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import type { JsonObject } from '#schemas/json.ts';
import { answeredByTemporal } from './answered.ts';
import { instantOf, openPayload, showMessage } from './protocol-json.ts';

/** One event as Temporal keeps it, its payloads opened. */
export interface HistoryEvent {
  /** Counts from 1 within one execution. */
  id: number;
  at: string;
  /** As Temporal names it, e.g. `EVENT_TYPE_ACTIVITY_TASK_SCHEDULED`. */
  type: string;
  attributes: JsonObject;
}

export interface HistoryPage {
  /** Temporal's own id of the execution: a run that continues as new has several. */
  execution: string;
  /** The newest first. */
  events: HistoryEvent[];
  /** Where the next page begins; null: nothing is older. */
  next: HistoryPlace | null;
}

export interface HistoryPlace {
  execution: string;
  /** Temporal's page token as base64; empty: the execution's newest event. */
  token: string;
  /** Only events with a lower id were not on an earlier page; 0: all. */
  before: number;
}

export interface HistoryDoor {
  /** From the newest event of the workflow's newest execution when `place` is null. Null: Temporal has no such history (any more). Throws KosError `temporal_unavailable`. */
  page(workflowId: string, place: HistoryPlace | null, limit: number): Promise<HistoryPage | null>;
}

const { EventType } = proto.temporal.api.enums.v1;

interface DoorParts {
  connection: Connection;
  namespace: string;
  /** Marks what it refuses: one payload that cannot be opened hides no other event. */
  codec: PayloadCodec;
}

export function makeHistoryDoor({ connection, namespace, codec }: DoorParts): HistoryDoor {
  const newestExecution = async (workflowId: string): Promise<string> => {
    const { workflowExecutionInfo } = await connection.workflowService.describeWorkflowExecution({ namespace, execution: { workflowId } });
    return workflowExecutionInfo?.execution?.runId ?? '';
  };
  /** So many batches. They may hold more events than are wanted: the rest is for the next page. */
  const readBatches = async (workflowId: string, place: HistoryPlace, limit: number, batches: number): Promise<RawPage> => {
    const { execution, token, before } = place;
    const { history, nextPageToken } = await connection.workflowService.getWorkflowExecutionHistoryReverse({
      namespace,
      execution: { workflowId, runId: execution },
      maximumPageSize: batches,
      nextPageToken: Buffer.from(token, 'base64'),
    });
    const all = history?.events ?? [];
    const unseen = before === 0 ? all : all.filter((event) => Number(event.eventId) < before);
    const raw = unseen.slice(0, limit);
    if (unseen.length > limit) return { raw, next: { execution, token, before: Number(raw.at(-1)?.eventId) } };
    const next = nextPlace(execution, nextPageToken, all);
    const goesOn = next !== null && next.execution === execution ? { ...next, before } : next;
    // Events that came since the last page may fill this one.
    return raw.length === 0 && goesOn !== null && goesOn.execution === execution ? readBatches(workflowId, goesOn, limit, batches) : { raw, next: goesOn };
  };
  /** Fewer batches than events first, then as many as events are missing. */
  const readOn = async (workflowId: string, place: HistoryPlace, limit: number): Promise<RawPage> => {
    const first = await readBatches(workflowId, place, limit, Math.ceil(limit / eventsInBatch));
    const missing = limit - first.raw.length;
    if (missing === 0 || first.next?.execution !== place.execution) return first;
    const rest = await readBatches(workflowId, first.next, missing, missing);
    return { raw: [...first.raw, ...rest.raw], next: rest.next };
  };
  return {
    page: (workflowId, place, limit) =>
      answeredByTemporal(async () => {
        const start = place ?? { execution: await newestExecution(workflowId), token: '', before: 0 };
        const { raw, next } = await readOn(workflowId, start, limit);
        return { execution: start.execution, events: await Promise.all(raw.map((event) => showEvent(event, workflowId, codec))), next };
      }),
  };
}

type RawEvent = proto.temporal.api.history.v1.IHistoryEvent;

interface RawPage {
  raw: RawEvent[];
  next: HistoryPlace | null;
}

/**
 * Temporal counts what it was told at once as one: a batch holds an event or more, and where many activities run at once seven. Asked for 200, it gave
 * 1,353 events of such a history, in five times the time that 50 take.
 */
const eventsInBatch = 4;

/** Where an execution's history ends at its first event, the one goes on that it continued. */
function nextPlace(execution: string, token: Uint8Array | null | undefined, events: RawEvent[]): HistoryPlace | null {
  if (token !== null && token !== undefined && token.length > 0) return { execution, token: Buffer.from(token).toString('base64'), before: 0 };
  const before = events.at(-1)?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId;
  return before === null || before === undefined || before === '' ? null : { execution: before, token: '', before: 0 };
}

async function showEvent(event: RawEvent, ownWorkflowId: string, codec: PayloadCodec): Promise<HistoryEvent> {
  const name = Object.keys(event).find((field) => field.endsWith('EventAttributes') && (event[field as keyof RawEvent] ?? null) !== null);
  const attributes = (name === undefined ? {} : event[name as keyof RawEvent]) as Record<string, unknown>;
  const opened = await showMessage(attributes, (payload) => openPayload(payload, boundTo(event, attributes, ownWorkflowId), codec));
  return {
    id: Number(event.eventId),
    at: instantOf(event.eventTime) ?? new Date(0).toISOString(),
    type: EventType[event.eventType ?? 0] ?? 'EVENT_TYPE_UNSPECIFIED',
    attributes: opened as JsonObject,
  };
}

/** What is sent to another workflow is sealed for that one; why a workflow task failed, for none (ADR 005). */
function boundTo({ eventType }: RawEvent, attributes: Record<string, unknown>, own: string): string | null {
  if (eventType === EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED) return null;
  const { workflowId, workflowExecution } = attributes as { workflowId?: string; workflowExecution?: { workflowId?: string } };
  return workflowId || workflowExecution?.workflowId || own;
}
