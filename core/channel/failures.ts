/** A failed run as people are told of it. */
export interface FailedRun {
  runId: string;
  /** Of the run.failed event. */
  eventId: string;
  code: string;
  message: string;
  stepPath: string | null;
  /** ISO 8601. */
  at: string;
}

/** What a channel remembers of one plan's failures. Instants are milliseconds since 1970. */
export interface PlanFailures {
  /** It has failed since it last succeeded. */
  failing: boolean;
  /** When people were last told of failures; null: never. */
  toldAtMs: number | null;
  /** Failures that people were not told of, and the newest of them. */
  untold: number;
  newest: FailedRun[];
}

/** One digest holds no more than these by name. */
const namedAtMost = 10;
const betweenDigestsMs = 3_600_000;

export const noFailures: PlanFailures = { failing: false, toldAtMs: null, untold: 0, newest: [] };

/** The first failure after a success is told at once; those after it are kept for a digest. */
export function afterFailure(state: PlanFailures, run: FailedRun, nowMs: number): { state: PlanFailures; tell: boolean } {
  if (!state.failing) return { state: { ...state, failing: true, toldAtMs: nowMs }, tell: true };
  return { state: { ...state, untold: state.untold + 1, newest: [run, ...state.newest].slice(0, namedAtMost) }, tell: false };
}

/** What was not told yet still comes with its digest. */
export const afterSuccess = (state: PlanFailures): PlanFailures => ({ ...state, failing: false });

/** When the next digest is due; null: there is nothing to tell. */
export const digestAtMs = ({ untold, toldAtMs }: PlanFailures): number | null => (untold === 0 ? null : (toldAtMs ?? 0) + betweenDigestsMs);

export interface Digest {
  count: number;
  newest: FailedRun[];
}

/** At most one an hour. Null: it is not due. */
export function takeDigest(state: PlanFailures, nowMs: number): { state: PlanFailures; digest: Digest } | null {
  const dueMs = digestAtMs(state);
  if (dueMs === null || nowMs < dueMs) return null;
  return { state: { ...state, untold: 0, newest: [], toldAtMs: nowMs }, digest: { count: state.untold, newest: state.newest } };
}
