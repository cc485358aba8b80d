import type { Claim } from '#core/engine/claim.ts';
import { undoableSteps, type UndoResult } from '#core/engine/compensation.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import { undoPath } from '#core/plan/step-path.ts';
import type { Ending, WaitingFor } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { closeWhatIsOpen } from '#services/runs/ledger/close-run.ts';
import { assertClaim, assertNotPaused, markWorking, readHeader, type RunHeader } from '#services/runs/ledger/header.ts';
import { markRunWaiting } from '#services/runs/ledger/record-outcome.ts';
import { lockOpenSubRuns, openSubRun } from '#services/runs/ledger/sub-runs.ts';
import { findEmptied, markCompensated, nextUndoables, readUndoOrders, recordCompensating, type Undoable } from '#services/runs/ledger/undos.ts';
import { earlyAtMostMs, waitForResolution } from '#services/runs/ledger/waits.ts';
import type { RunWork } from './close-run.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import type { Tried } from './end-step.ts';
import { executeStep } from './execute-step.ts';
import { AttemptLost } from './failure.ts';
import { unlessHeld } from './held-by-pause.ts';
import type { StepWork, UndoneStep } from './step-work.ts';

/** What one activity takes on before it reports, so that a pause, a cancel and another worker find it soon. */
const batchMs = 5_000;
/** Looked up at once. */
const undoablesAtOnce = 500;

export type UndoWork = RunWork & Pick<StepWork, 'signal' | 'underWay'>;

/**
 * Takes back what the steps of a run did, one after the other, in the reverse of the order in which they ended. Each undo is a row with fence, effect key,
 * attempts, events and audit entry of its own; whoever comes after goes on behind the last one that is on record.
 */
export async function undoSteps(dependencies: RunActivityDependencies, work: UndoWork, ending: Ending): Promise<UndoResult> {
  const steps = undoableSteps(work.executable.shape);
  return await unlessHeld<UndoResult>(async () => {
    if (!(await begin(dependencies, work, ending, steps))) return { done: true };
    const until = performance.now() + batchMs;
    for (;;) {
      const found = await look(dependencies, work, steps);
      if ('result' in found) return found.result;
      const result = await undoEach(dependencies, work, found.undoables, until);
      if (result !== null) return result;
    }
  });
}

/** False: there is nothing to undo, or nothing is to be undone. What was still open is closed before the first undo. */
async function begin({ database }: RunActivityDependencies, { claim }: UndoWork, ending: Ending, steps: readonly number[]): Promise<boolean> {
  return await database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    const header = await readHeader(sql, claim);
    assertClaim(header, claim);
    const orders = await readUndoOrders(sql, claim.runId);
    if (orders.leave) return false;
    if (orders.ending === null) {
      if ((await nextUndoables(sql, claim.runId, steps, 1)).length === 0) return false;
      await lockOpenSubRuns(sql, claim.runId);
      await closeWhatIsOpen(sql, claim.workspaceId, claim.runId);
    }
    // Also where somebody has reopened it for this.
    if (orders.ending === null || header.status === 'queued') await markWorking(sql, claim, header);
    if (orders.ending === ending) return true;
    await recordCompensating(sql, claim, ending, orders.ending === null);
    return true;
  });
}

type Found = { undoables: Undoable[] } | { result: UndoResult };

/** What is next. Somebody may have decided meanwhile that the rest stays. */
async function look({ database }: RunActivityDependencies, { claim }: UndoWork, steps: readonly number[]): Promise<Found> {
  return await database.inWorkspace(claim.workspaceId, async ({ sql }) => {
    const header = await readHeader(sql, claim);
    assertClaim(header, claim);
    const { leave } = await readUndoOrders(sql, claim.runId);
    const subRun = leave ? null : await openSubRun(sql, claim.runId);
    if (subRun !== null) return { result: await waitFor(sql, claim, header, waitForSubRun(subRun)) };
    const undoables = leave ? [] : await nextUndoables(sql, claim.runId, steps, undoablesAtOnce);
    const [first] = undoables;
    if (first === undefined) {
      const emptied = await findEmptied(sql, claim.runId, steps);
      if (emptied.length > 0) await markCompensated(sql, claim, emptied);
      return { result: { done: true } };
    }
    // What a lost worker left running is finished, for a pause lets it finish.
    if (first.undoStatus !== 'running') assertNotPaused(header, claim);
    const doubtful = doubtOf(first);
    if (doubtful === null) return { undoables };
    return { result: await waitFor(sql, claim, header, waitForResolution(claim.runId, doubtful.path, doubtful.error)) };
  });
}

/** A paused run stays paused. */
async function waitFor(sql: TransactionSql, claim: Claim, { status }: RunHeader, waitingFor: WaitingFor): Promise<UndoResult> {
  if (status !== 'paused') await markRunWaiting(sql, claim, waitingFor);
  return { waits: true };
}

/** What it did came after what the run itself did: it is undone first. */
const waitForSubRun = ({ id, calledFrom }: { id: string; calledFrom: string | null }): WaitingFor => ({
  kind: 'run',
  ref: id,
  until: null,
  text: `The run ${id}${calledFrom === null ? '' : `, which ${calledFrom} has started,`} ends first, and undoes what it did.`,
});

/** What nobody can vouch for holds up what came before it; null: nothing does. */
function doubtOf(undoable: Undoable): { path: string; error: Undoable['error'] } | null {
  if (undoable.status === 'uncertain') return { path: undoable.path, error: undoable.error };
  return undoable.undoStatus === 'uncertain' ? { path: undoPath(undoable.path), error: undoable.undoError } : null;
}

/** Null: all of them have ended, or it is to be looked again. */
async function undoEach(dependencies: RunActivityDependencies, work: UndoWork, undoables: readonly Undoable[], until: number): Promise<UndoResult | null> {
  for (const undoable of undoables) {
    if (work.signal.reason instanceof AttemptLost) throw work.signal.reason;
    if (performance.now() > until) return { retryInMs: 0 };
    if (doubtOf(undoable) !== null) return null;
    const leftMs = undoable.undoStatus === 'retrying' ? (undoable.undoLeftMs ?? 0) : 0;
    if (leftMs > earlyAtMostMs) return { retryInMs: leftMs };
    const tried = await undo(dependencies, work, undoable);
    if (!('outcome' in tried)) return tried;
    if (tried.outcome === 'u') return null;
  }
  return null;
}

async function undo(dependencies: RunActivityDependencies, work: UndoWork, { path, step, item, iteration }: Undoable): Promise<Tried> {
  const compiled = work.executable.plan.steps[step];
  if (compiled === undefined) throw new Error(`The plan of ${work.claim.runId} has no step ${step}.`);
  const undone: UndoneStep = { path, step, item, ...(iteration === null ? {} : { iteration }) };
  return await executeStep(dependencies, {
    ...work,
    compiled: compiledUndo(compiled),
    item,
    undoes: undone,
    alone: true,
    alsoAtEnd: async (sql) => await markCompensated(sql, work.claim, [path]),
  });
}

/** An undo as a step: a call of a tool, and nothing that surrounds its step. */
function compiledUndo(step: CompiledStep): CompiledStep {
  const { undo } = step;
  if (undo === null) throw new Error(`The step ${step.id} has no undo.`);
  const { tool, input, reads, retry, timeoutMs } = undo;
  return {
    number: step.number,
    id: undoPath(step.id),
    kind: 'tool',
    definition: { tool },
    when: null,
    forEach: null,
    lines: null,
    repeat: null,
    check: null,
    input,
    reads: { when: [], forEach: [], input: reads, repeat: [], check: [], onError: [] },
    retry,
    timeoutMs,
    concurrency: 1,
    timeoutInAllMs: null,
    onFailure: { do: 'fail' },
    undo: null,
    cache: null,
    toleratedItems: 0,
    fallbackOf: null,
    gatedBy: null,
  };
}
