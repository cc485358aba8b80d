import { fileURLToPath } from 'node:url';
import type { DataConverter } from '@temporalio/common';
import { createPayloadCodec, type PayloadCodecOptions } from './codec.ts';

/** `bundleWorkflowCode` needs this path as well, as its `failureConverterPath`. */
export const failureConverterPath = fileURLToPath(new URL('./data-converter-failure.ts', import.meta.url));

/**
 * The data converter of every Temporal client and worker. Values are plain JSON, so the SDK's own payload converter serves; sealing is the codec's part.
 * Clients refuse by throwing. Workers take `marker`, and `refusedPayloadInterceptor` turns markers into failures for their activities.
 */
export function createDataConverter(options: PayloadCodecOptions): DataConverter {
  return { payloadCodecs: [createPayloadCodec(options)], failureConverterPath };
}
