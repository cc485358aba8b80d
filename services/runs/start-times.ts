import { KosError } from '#core/errors.ts';
import type { StartRun, WaitingFor } from '#schemas/run.ts';
import type { Sql, TransactionSql } from '#services/database/connect.ts';

/** When a run may begin and must have ended. Instants, and a duration that counts from its start. */
export interface RunTimes {
  /** Null: now. */
  startAt: Date | null;
  deadlineAt: Date | null;
  timeoutMs: number | null;
}

/** The longest a start may be put off, ms: 366 days. */
const latestStartMs = 31_622_400_000;

/** A start that has passed is now. Throws KosError `start_too_late`, `deadline_passed` (422). */
export function timesOf(request: Pick<StartRun, 'startAt' | 'deadlineAt' | 'timeoutMs'>, planTimeoutMs: number | null, nowMs: number): RunTimes {
  const asked = request.startAt === undefined ? null : Date.parse(request.startAt);
  const startMs = asked === null || asked <= nowMs ? null : asked;
  if (startMs !== null && startMs - nowMs > latestStartMs) {
    throw invalid('/startAt', 'start_too_late', `The run is to start at ${request.startAt ?? ''}, more than 366 days from now.`, 'Name an earlier instant.');
  }
  const deadlineMs = request.deadlineAt === undefined ? null : Date.parse(request.deadlineAt);
  if (deadlineMs !== null && deadlineMs <= (startMs ?? nowMs)) {
    const start = startMs === null ? 'now' : `at ${new Date(startMs).toISOString()}`;
    const message = `The run is to end by ${request.deadlineAt ?? ''}, and starts ${start}: it could do nothing.`;
    throw invalid('/deadlineAt', 'deadline_passed', message, 'Name an instant after its start.');
  }
  return {
    startAt: startMs === null ? null : new Date(startMs),
    deadlineAt: deadlineMs === null ? null : new Date(deadlineMs),
    timeoutMs: request.timeoutMs ?? planTimeoutMs,
  };
}

const invalid = (pointer: string, code: string, message: string, fix: string): KosError =>
  new KosError({ code, message, fix, status: 422, details: [{ pointer, message }] });

/** For `update kos.runs set …`: the run's own time, where it is bounded, begins now. Never later than a deadline that it has already. */
export const beginsNow = (sql: TransactionSql | Sql) => sql`deadline_at = least(deadline_at, clock_timestamp() + make_interval(secs => timeout_ms / 1000.0))`;

export const waitsForItsTime = (startAt: Date): WaitingFor => ({
  kind: 'timer',
  ref: null,
  until: startAt.toISOString(),
  text: `Starts at ${startAt.toISOString()}.`,
});
