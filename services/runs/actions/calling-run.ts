import { KosError } from '#core/errors.ts';
import { type Ending, isFinalRunStatus, type RunStatus } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';

interface Caller {
  id: string;
  status: RunStatus;
  ending: Ending | null;
  stepPath: string;
}

/**
 * A run that a step of another started ends for that step: nobody hears of it when the other has ended. Then the other is to be retried, which goes on with this
 * one. Throws KosError `caller_ended` (409).
 */
export async function assertHeard(sql: TransactionSql, runId: string): Promise<void> {
  const caller = await readCaller(sql, runId);
  if (caller === null) return;
  let outermost = caller;
  for (let above: Caller | null = caller; above !== null; above = await readCaller(sql, above.id)) outermost = above;
  const { id, status, ending } = outermost;
  throw new KosError({
    code: 'caller_ended',
    message: `The run ${runId} was started by ${caller.stepPath} of ${caller.id}, which has ${wordOf(caller.status)}: by itself it would go on for nobody.`,
    fix: ending === null ? `Retry the run that called for it, which goes on with this one: kai run retry ${id}` : `Begin anew: kai run replay ${id}`,
    status: 409,
    extra: { runStatus: status, caller: id },
  });
}

const wordOf = (status: RunStatus): string => (status === 'failed' ? 'failed' : `been ${status}`);

/** The run that ended without success at the step that started this one, or with it; null: there is none. A retry of it goes on with this one. */
async function readCaller(sql: TransactionSql, runId: string): Promise<Caller | null> {
  const [row] = await sql<Caller[]>`
    select above.id, above.status, above.ending, w.step_path as "stepPath"
    from kos.runs r join kos.runs above on above.id = r.parent_run_id
      join lateral (select run_id, step_path from kos.waits where run_id = above.id and child_run_id = r.id order by opened_at desc limit 1) w on true
      join kos.steps s on s.run_id = w.run_id and s.path = w.step_path
    where r.id = ${runId} and s.status in ('failed', 'cancelled') and s.metadata->>'tolerated' is distinct from 'true'`;
  return row === undefined || !isFinalRunStatus(row.status) || row.status === 'succeeded' ? null : row;
}
