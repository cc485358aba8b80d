import { defaultPayloadConverter, type Payload, type PayloadCodec } from '@temporalio/common';
import type proto from '@temporalio/proto';
import type { Json } from '#schemas/json.ts';
import { sealedEncoding } from './codec.ts';

/** What a payload holds. `workflowId`: the workflow that it is sealed for; null: for none. A codec that marks what it refuses gives its mark. */
export async function openPayload(payload: Payload, workflowId: string | null, codec: PayloadCodec): Promise<Json> {
  const encoding = Buffer.from(payload.metadata?.encoding ?? []).toString('latin1');
  const [opened = payload] =
    encoding === sealedEncoding ? await codec.decode([payload], workflowId === null ? undefined : { type: 'workflow', workflowId, namespace: '' }) : [payload];
  const value: unknown = defaultPayloadConverter.fromPayload(opened);
  return (value === undefined ? null : value) as Json;
}

/** A point in time of Temporal's protocol as RFC 3339; null: it is not set. */
export function instantOf(timestamp: proto.google.protobuf.ITimestamp | null | undefined): string | null {
  if (timestamp === null || timestamp === undefined) return null;
  return new Date(Number(timestamp.seconds ?? 0) * 1_000 + Math.floor((timestamp.nanos ?? 0) / 1_000_000)).toISOString();
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
export async function showMessage(value: unknown, open: (payload: Payload) => Promise<Json>): Promise<Json> {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return Promise.all(value.map((item) => showMessage(item, open)));
  if (typeof value !== 'object' || value === null) return (value ?? null) as Json;
  if (isLong(value)) return value.toString();
  if (isPayload(value)) return open(value);
  const fields = await Promise.all(
    Object.entries(value)
      .filter(([, field]) => field !== null && field !== undefined && field !== '')
      .map(async ([name, field]) => [name, await showMessage(field, open)] as const),
  );
  return Object.fromEntries(fields);
}

/** A value's name in one of the protocol's enumerations, as words of ours. */
export const nameIn = (names: Record<number, string>, value: number | null | undefined, prefix: string): string =>
  (names[value ?? 0] ?? 'UNSPECIFIED').replace(prefix, '').toLowerCase();
