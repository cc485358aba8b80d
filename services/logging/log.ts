import pino, { type Logger } from 'pino';

interface LoggedError {
  type: string;
  code?: string;
  message: string;
  stack?: string;
  cause?: LoggedError;
}

const causesAtMost = 3;

/**
 * What a log line keeps of an error. Never all its members, as pino's own serializer would: Postgres puts values of rows into `detail`, and ours
 * carry what the one who asked may see.
 */
export function describeError(error: unknown, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return {
    type: error.name,
    message: error.message,
    ...(code === undefined ? {} : { code }),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(error.cause === undefined || depth >= causesAtMost ? {} : { cause: describeError(error.cause, depth + 1) }),
  };
}

/** JSON lines on stdout; the supervisor keeps and rotates them. */
export const createLog = (name: string): Logger => pino({ name, serializers: { error: (error: unknown) => describeError(error) } });
