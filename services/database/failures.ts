/** Errors of the `postgres` client by their `code`: its own words, Node's, or SQLSTATE (https://www.postgresql.org/docs/18/errcodes-appendix.html). */
const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '');

const connectionLost = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
]);

/** The server's Unix socket is not there; of any other file that says something else. */
const socketMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT' && error instanceof Error && 'syscall' in error && error.syscall === 'connect';

/** 08 connection, 40 serialisation and deadlocks, 53 no room, 57P an operator stops or starts the server. */
const passingClasses = /^(08|40|53|57P)/;

/** The database could not answer just now: the same work succeeds later. */
export function isPassingFailure(error: unknown): boolean {
  const code = codeOf(error);
  return connectionLost.has(code) || socketMissing(error) || (code.length === 5 && passingClasses.test(code));
}

/** Anything that the database or the way to it says. */
export const isDatabaseFailure = (error: unknown): boolean => (error instanceof Error && error.name === 'PostgresError') || isPassingFailure(error);

/** The database will never take this value (22 data exception, such as a NUL character in text; 54 beyond a limit): trying again changes nothing. */
export function isUnstorableValue(error: unknown): boolean {
  const code = codeOf(error);
  return code.length === 5 && (code.startsWith('22') || code.startsWith('54'));
}
