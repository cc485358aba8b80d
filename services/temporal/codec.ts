import type { Payload, PayloadCodec, SerializationContext } from '@temporalio/common';
import proto from '@temporalio/proto';
import { payloadRefusedMarker, type PayloadRefusal } from '#core/engine/payload-refused.ts';
import { KosError } from '#core/errors.ts';
import type { SealedParts } from '#services/sealing/aead.ts';
import type { Sealing } from '#services/sealing/sealing.ts';

/** Metadata keys and the encoding's name as Temporal stores them. */
export const sealedEncoding = 'binary/kos-v1';
const sealedEncodingBytes = Buffer.from(sealedEncoding);
const keyIdField = 'kos-key-id';
const nonceField = 'kos-nonce';
/** The workflow that a payload is sealed for, for readers that Temporal does not tell it. The seal proves it or refuses. */
const workflowField = 'kos-workflow';

export interface PayloadCodecOptions {
  sealing: Sealing;
  /** The namespace that payloads are bound to: the installation's own, whatever the SDK's context says (a replay worker has none). */
  namespace: string;
  /** `marker` where a workflow decodes: an exception would fail its task for ever. `throw` elsewhere: KosError `payload_refused`. */
  refuse: 'marker' | 'throw';
}

// A default import: Node cannot see this CommonJS package's names, only vitest can.
const PayloadMessage = proto.temporal.api.common.v1.Payload;

export function createPayloadCodec(options: PayloadCodecOptions): PayloadCodec {
  const { sealing, namespace, refuse } = options;
  return {
    encode: async (payloads, context) => payloads.map((payload) => seal(sealing, payload, namespace, context)),
    decode: async (payloads, context) =>
      payloads.map((payload) => {
        const opened = open(sealing, payload, associatedData(namespace, context?.workflowId));
        return typeof opened === 'string' ? refusal(opened, refuse) : opened;
      }),
  };
}

/**
 * What a payload is bound to besides its key. Both sides of every conversation agree on the workflow id (the target's, for Signals and children); activity ids
 * are left out. Without context the SDK only encodes the cause of a failed workflow task, which is only ever shown.
 */
function associatedData(namespace: string, workflowId: string | undefined): string {
  return JSON.stringify([sealedEncoding, namespace, workflowId ?? null]);
}

function seal(sealing: Sealing, payload: Payload, namespace: string, context: SerializationContext | undefined): Payload {
  const workflowId = context?.workflowId;
  const { keyId, nonce, ciphertext } = sealing.sealParts(PayloadMessage.encode(payload).finish(), associatedData(namespace, workflowId));
  return {
    metadata: {
      encoding: sealedEncodingBytes,
      [keyIdField]: Buffer.from(keyId),
      [nonceField]: nonce,
      ...(workflowId === undefined ? {} : { [workflowField]: Buffer.from(workflowId) }),
    },
    data: ciphertext,
  };
}

/** The payload inside, or why it is refused. */
function open(sealing: Sealing, payload: Payload, bound: string): Payload | PayloadRefusal {
  const parts = sealedParts(payload);
  if (parts === null) return 'wrong_encoding';
  try {
    return PayloadMessage.decode(sealing.openParts(parts, bound));
  } catch (error) {
    if (error instanceof KosError && error.code === 'sealing_key_unknown') return 'unknown_key';
    if (error instanceof KosError && error.code === 'sealed_data_refused') return 'not_authentic';
    throw error;
  }
}

/** The workflow that a payload says it is sealed for; null: it names none, or is not sealed. */
export function workflowNamedBy(payload: Payload): string | null {
  const named = payload.metadata?.[workflowField];
  return named === undefined || sealedParts(payload) === null ? null : textOf(named);
}

/** The payload inside, if it is sealed for the workflow that it names; null: it is not. */
export function openAsNamed({ sealing, namespace }: Pick<PayloadCodecOptions, 'sealing' | 'namespace'>, payload: Payload): Payload | null {
  const opened = open(sealing, payload, associatedData(namespace, workflowNamedBy(payload) ?? undefined));
  return typeof opened === 'string' ? null : opened;
}

function sealedParts(payload: Payload): SealedParts | null {
  const { encoding, [keyIdField]: keyId, [nonceField]: nonce } = payload.metadata ?? {};
  if (encoding === undefined || keyId === undefined || nonce === undefined) return null;
  if (textOf(encoding) !== sealedEncoding) return null;
  return { keyId: textOf(keyId), nonce, ciphertext: payload.data ?? new Uint8Array() };
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

function refusal(reason: PayloadRefusal, refuse: 'marker' | 'throw'): Payload {
  if (refuse === 'throw') throw payloadRefused(reason);
  return { metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from(JSON.stringify(payloadRefusedMarker(reason))) };
}

const explanations: Record<PayloadRefusal, string> = {
  wrong_encoding: `it is not in the encoding ${sealedEncoding}`,
  unknown_key: "its key is not in this installation's keys folder",
  not_authentic: 'it was changed, or sealed for another workflow',
};

export function payloadRefused(reason: PayloadRefusal): KosError {
  return new KosError({
    code: 'payload_refused',
    message: `A payload from Temporal was refused: ${explanations[reason]}.`,
    fix: reason === 'unknown_key' ? 'Restore the keys folder of KOS_HOME from the copy that belongs to this data.' : null,
    status: 502,
    extra: { reason },
  });
}
