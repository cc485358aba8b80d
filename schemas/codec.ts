import { z } from 'zod';

/** A payload of Temporal's as its remote codec protocol writes it (proto JSON): bytes are base64. */
const wirePayloadSchema = z.looseObject({
  metadata: z.record(z.string(), z.base64()).optional(),
  data: z.base64().optional(),
});
export type WirePayload = z.infer<typeof wirePayloadSchema>;

export const wirePayloadsSchema = z.object({ payloads: z.array(wirePayloadSchema).max(10_000) });
