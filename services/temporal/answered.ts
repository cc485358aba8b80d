import { isGrpcServiceError } from '@temporalio/client';
import { KosError } from '#core/errors.ts';

/** Codes of gRPC. */
const notFound = 5;
const absences = [4, 14]; // deadline exceeded, unavailable

/** What Temporal answers; null: it does not know what was asked about. Throws KosError `temporal_unavailable` when it does not answer. */
export async function answeredByTemporal<Answer>(ask: () => Promise<Answer>): Promise<Answer | null> {
  try {
    return await ask();
  } catch (error) {
    if (!isGrpcServiceError(error)) throw error;
    const code = Number(error.code);
    if (code === notFound) return null;
    if (absences.includes(code)) throw temporalUnavailable(error);
    throw error;
  }
}

const temporalUnavailable = (cause: unknown): KosError =>
  new KosError({
    code: 'temporal_unavailable',
    message: 'Temporal does not answer right now.',
    fix: 'Repeat it in a moment; kai status says how the parts of this installation are.',
    status: 503,
    retryable: true,
    cause,
  });
