import { ApplicationFailure } from '@temporalio/common';
import type { Context } from '@temporalio/activity';
import type { ActivityInterceptors } from '@temporalio/worker';
import { isPayloadRefused } from '#core/engine/payload-refused.ts';
import { payloadRefused } from './codec.ts';

/**
 * A worker has one data converter for workflows and activities, so activities see markers too. This interceptor fails them before any of their code runs:
 * for good when the payload is forged, to be tried again when only its key is missing (a key can be brought back, an attempt cannot).
 */
export function refusedPayloadInterceptor(context: Context): ActivityInterceptors {
  return {
    inbound: {
      execute: async (input, next) => {
        const refused = [...input.args, context.info.heartbeatDetails].find(isPayloadRefused);
        if (refused === undefined) return next(input);
        const { message } = payloadRefused(refused.reason);
        throw ApplicationFailure.create({ type: 'payload_refused', message, nonRetryable: refused.reason !== 'unknown_key' });
      },
    },
  };
}
