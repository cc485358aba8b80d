import type { OverlapPolicy } from '#schemas/schedule.ts';

/** What is known when a start of a schedule comes to be taken. */
export interface StartFacts {
  kind: 'regular' | 'manual' | 'backfill';
  paused: boolean;
  deleted: boolean;
  /** Null: without end. */
  runsLeft: number | null;
  overlap: OverlapPolicy;
  /** Runs of the schedule that have not ended. */
  openRuns: readonly string[];
  /** Why it may not act any more: by the clock for its creator, of an order for who ordered it. Null: it may. */
  lostRight: string | null;
}

export type StartDecision = { do: 'accept'; end: readonly string[] } | { do: 'skip' | 'refuse' | 'pause'; reason: string };

/**
 * Temporal has let this start through. Here stands what it cannot know: what was changed a moment ago, rights, and runs that go on without the workflow that
 * Temporal watches (one that was retried, or resumed after a loss). What people ask for by hand is bound by their own rights
 * alone: without them it is refused, and the schedule goes on.
 */
export function decideStart(facts: StartFacts): StartDecision {
  if (facts.deleted) return { do: 'skip', reason: 'The schedule was deleted.' };
  if (facts.kind !== 'regular') return facts.lostRight === null ? { do: 'accept', end: [] } : { do: 'refuse', reason: facts.lostRight };
  if (facts.lostRight !== null) return { do: 'pause', reason: facts.lostRight };
  if (facts.paused) return { do: 'skip', reason: 'The schedule is paused.' };
  if (facts.runsLeft !== null && facts.runsLeft <= 0) return { do: 'skip', reason: 'The schedule has made all the runs it may.' };
  const [open] = facts.openRuns;
  if (open !== undefined && facts.overlap === 'skip') return { do: 'skip', reason: `${open} was still open.` };
  return { do: 'accept', end: facts.overlap === 'terminateOther' ? facts.openRuns : [] };
}
