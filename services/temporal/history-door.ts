import { type Connection, isGrpcServiceError } from '@temporalio/client';
import { defaultPayloadConverter, type Payload, type PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import type { Json, JsonObject } from '#schemas/json.ts';
import { makeRunWorkflowId } from '#workflows/ids.ts';
import { sealedEncoding } from './codec.ts';

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
  /** From the newest event of the run's newest execution when `place` is null. Null: Temporal has no such history (any more). */
  page(runId: string, place: HistoryPlace | null, limit: number): Promise<HistoryPage | null>;
}

const { EventType } = proto.temporal.api.enums.v1;
const grpcNotFound = 5;

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
  /** Temporal's pages are of whole batches of events, so one may hold more than was asked for: the rest is for the next page. */
  const readOn = async (workflowId: string, place: HistoryPlace, limit: number): Promise<{ raw: RawEvent[]; next: HistoryPlace | null }> => {
    const { execution, token, before } = place;
    const { history, nextPageToken } = await connection.workflowService.getWorkflowExecutionHistoryReverse({
      namespace,
      execution: { workflowId, runId: execution },
      maximumPageSize: limit,
      nextPageToken: Buffer.from(token, 'base64'),
    });
    const all = history?.events ?? [];
    const unseen = before === 0 ? all : all.filter((event) => Number(event.eventId) < before);
    const raw = unseen.slice(0, limit);
    if (unseen.length > limit) return { raw, next: { execution, token, before: Number(raw.at(-1)?.eventId) } };
    const next = nextPlace(execution, nextPageToken, all);
    const goesOn = next !== null && next.execution === execution ? { ...next, before } : next;
    // Events that came since the last page may fill this one.
    return raw.length === 0 && goesOn !== null && goesOn.execution === execution ? readOn(workflowId, goesOn, limit) : { raw, next: goesOn };
  };
  return {
    page: async (runId, place, limit) => {
      const workflowId = makeRunWorkflowId(runId);
      try {
        const start = place ?? { execution: await newestExecution(workflowId), token: '', before: 0 };
        const { raw, next } = await readOn(workflowId, start, limit);
        return { execution: start.execution, events: await Promise.all(raw.map((event) => showEvent(event, workflowId, codec))), next };
      } catch (error) {
        if (isGrpcServiceError(error) && Number(error.code) === grpcNotFound) return null;
        throw error;
      }
    },
  };
}

type RawEvent = proto.temporal.api.history.v1.IHistoryEvent;

/** Where an execution's history ends at its first event, the one goes on that it continued. */
function nextPlace(execution: string, token: Uint8Array | null | undefined, events: RawEvent[]): HistoryPlace | null {
  if (token !== null && token !== undefined && token.length > 0) return { execution, token: Buffer.from(token).toString('base64'), before: 0 };
  const before = events.at(-1)?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId;
  return before === null || before === undefined || before === '' ? null : { execution: before, token: '', before: 0 };
}

async function showEvent(event: RawEvent, ownWorkflowId: string, codec: PayloadCodec): Promise<HistoryEvent> {
  const name = Object.keys(event).find((field) => field.endsWith('EventAttributes') && (event[field as keyof RawEvent] ?? null) !== null);
  const attributes = (name === undefined ? {} : event[name as keyof RawEvent]) as Record<string, unknown>;
  const seconds = Number(event.eventTime?.seconds ?? 0);
  const millis = Math.floor((event.eventTime?.nanos ?? 0) / 1_000_000);
  const opened = await show(attributes, (payload) => openPayload(payload, boundTo(attributes, ownWorkflowId), codec));
  return {
    id: Number(event.eventId),
    at: new Date(seconds * 1_000 + millis).toISOString(),
    type: EventType[event.eventType ?? 0] ?? 'EVENT_TYPE_UNSPECIFIED',
    attributes: opened as JsonObject,
  };
}

/** What is sent to another workflow is sealed for that one. */
function boundTo(attributes: Record<string, unknown>, own: string): string {
  const { workflowId, workflowExecution } = attributes as { workflowId?: string; workflowExecution?: { workflowId?: string } };
  return workflowId || workflowExecution?.workflowId || own;
}

async function openPayload(payload: Payload, workflowId: string, codec: PayloadCodec): Promise<Json> {
  const encoding = Buffer.from(payload.metadata?.encoding ?? []).toString('latin1');
  const [opened = payload] = encoding === sealedEncoding ? await codec.decode([payload], { type: 'workflow', workflowId, namespace: '' }) : [payload];
  const value: unknown = defaultPayloadConverter.fromPayload(opened);
  return (value === undefined ? null : value) as Json;
}

/** A number of 64 bits, as the protocol's library holds it. */
interface Long {
  toNumber(): number;
  toString(): string;
}
const isLong = (value: object): value is Long => 'toNumber' in value;

/** The protocol has no other message with these two fields; its classes are not there to be asked (they are made from a description). */
const isPayload = (value: object): value is Payload => 'metadata' in value && 'data' in value;

/** A message of Temporal's protocol as JSON: numbers of 64 bits as text, bytes as base64, payloads opened, what is not set left out. */
async function show(value: unknown, open: (payload: Payload) => Promise<Json>): Promise<Json> {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return Promise.all(value.map((item) => show(item, open)));
  if (typeof value !== 'object' || value === null) return (value ?? null) as Json;
  if (isLong(value)) return value.toString();
  if (isPayload(value)) return open(value);
  const fields = await Promise.all(
    Object.entries(value)
      .filter(([, field]) => field !== null && field !== undefined && field !== '')
      .map(async ([name, field]) => [name, await show(field, open)] as const),
  );
  return Object.fromEntries(fields);
}
