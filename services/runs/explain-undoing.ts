import { undoableSteps } from '#core/engine/compensation.ts';
import type { NextUndoFacts, UndoingFacts } from '#core/engine/explain-undoing.ts';
import { undoPath } from '#core/plan/step-path.ts';
import type { Ending, StepStatus, WaitingFor } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { openSubRun } from './ledger/sub-runs.ts';
import { nextUndoables, tallyUndos, type Undoable } from './ledger/undos.ts';

/** Null: the run does not undo anything. */
export async function readUndoing(sql: TransactionSql, runId: string, ending: Ending | null, shape: PlanShape): Promise<UndoingFacts | null> {
  if (ending === null) return null;
  const steps = undoableSteps(shape);
  const [subRun, tally, [next], [begun]] = await Promise.all([
    openSubRun(sql, runId),
    tallyUndos(sql, runId, steps),
    nextUndoables(sql, runId, steps, 1),
    sql<{ at: Date }[]>`select at from kos.events where run_id = ${runId} and type = 'run.compensating' order by at limit 1`,
  ]);
  return {
    ending,
    since: begun?.at.toISOString() ?? null,
    undone: tally.undone,
    left: tally.left + tally.failed,
    subRunId: subRun?.id ?? null,
    next: next === undefined ? null : await readNext(sql, runId, next, shape),
  };
}

async function readNext(sql: TransactionSql, runId: string, next: Undoable, shape: PlanShape): Promise<NextUndoFacts> {
  const path = next.status === 'uncertain' ? next.path : undoPath(next.path);
  const [row] = await sql<{ status: StepStatus; attempt: number; startedAt: Date | null; waitingFor: WaitingFor | null }[]>`
    select status, attempt, started_at as "startedAt", waiting_for as "waitingFor" from kos.steps where run_id = ${runId} and path = ${path}`;
  const status = row?.status === 'uncertain' || row?.status === 'retrying' || row?.status === 'running' ? row.status : 'pending';
  return {
    path,
    status,
    attempt: row?.attempt ?? 0,
    startedAt: row?.startedAt?.toISOString() ?? null,
    waitingFor: row?.waitingFor ?? null,
    timeoutMs: shape.steps[next.step]?.undo?.timeoutMs ?? 0,
  };
}
