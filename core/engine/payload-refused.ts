/**
 * What a workflow sees in place of a payload that the codec refused (another encoding, an unknown key, a failed authentication). An exception there would
 * fail the workflow task for ever; a value lets the workflow drop a Signal, or fail its run with `payload_refused`.
 * No imports: this file is part of the workflow bundle.
 */
export type PayloadRefusal = 'wrong_encoding' | 'unknown_key' | 'not_authentic';

export interface PayloadRefusedMarker {
  kosPayloadRefused: 'v1';
  reason: PayloadRefusal;
  /** Where a failure's common attributes were refused, the SDK takes this for the failure's message. */
  message: 'payload_refused';
}

export const payloadRefusedMarker = (reason: PayloadRefusal): PayloadRefusedMarker => ({ kosPayloadRefused: 'v1', reason, message: 'payload_refused' });

export function isPayloadRefused(value: unknown): value is PayloadRefusedMarker {
  return typeof value === 'object' && value !== null && 'kosPayloadRefused' in value && value.kosPayloadRefused === 'v1';
}
