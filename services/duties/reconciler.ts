import type { Logger } from 'pino';
import { isFinalRunStatus, type OutcomeError, type RunStatus } from '#schemas/run.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { closeWhatIsOpen, recordClosed, type RunEnding } from '#services/runs/ledger/close-run.ts';
import { closeOverdueUnstarted } from '#services/runs/unstarted.ts';
import { recordAudit } from '#services/records/record.ts';
import type { ExecutionFacts, RunWorkflows } from '#services/temporal/run-workflows.ts';
import { runIdOfWorkflow } from '#workflows/ids.ts';
import { tellOfLostWindows } from './lost-windows.ts';
import { type Duty, repeat } from './repeat.ts';
import { tellStalledRuns } from './stalled-runs.ts';

export interface ReconcilerOptions {
  system: SystemDatabase;
  workflows: RunWorkflows;
  log: Logger;
}

const everyMs = 10_000;
/** Younger runs may still be on their way to Temporal, or to its visibility store. */
const settledAfterSeconds = 5;
interface OpenRun {
  id: string;
  workspaceId: string;
  generation: number;
}

/**
 * Compares what Postgres holds open with what Temporal runs, at start and every 10 s, and mends the difference. Several processes may do so at once: what
 * one of them has mended is of another generation, or closed.
 */
export function startReconciler(options: ReconcilerOptions): Duty {
  return repeat('reconciler', options.log, async () => {
    await reconcile(options);
    return everyMs;
  });
}

export async function reconcile(options: ReconcilerOptions): Promise<void> {
  const open = await openRuns(options.system);
  const running = new Set<string>();
  for await (const workflowId of options.workflows.listRunning('planRun')) running.add(workflowId);
  for (const run of open) {
    if (!running.has(run.id)) await mend(options, run);
  }
  await tellOfLostWindows(options);
  await endOrphanedWindows(options);
  await tellStalledRuns(options);
  await closeOverdueUnstarted(options.system);
}

/** Open here, already told to Temporal, and not just now. */
async function openRuns({ sql }: SystemDatabase): Promise<OpenRun[]> {
  return await sql<OpenRun[]>`
    select r.id, r.workspace_id as "workspaceId", r.generation from kos.runs r
    where r.status in ('queued', 'running', 'waiting', 'paused') and r.created_at < clock_timestamp() - make_interval(secs => ${settledAfterSeconds})
      and not exists (select 1 from kos.outbox o where o.run_id = r.id and o.kind = 'start')
      and not exists (select 1 from kos.concurrency_slots s where s.run_id = r.id and s.held_at is null)`;
}

async function mend({ system, workflows, log }: ReconcilerOptions, run: OpenRun): Promise<void> {
  const execution = await workflows.describe(run.id);
  if (execution?.status === 'running') return;
  await system.sql.begin(async (sql) => {
    const [row] = await sql<{ status: RunStatus }[]>`select status from kos.runs where id = ${run.id} and generation = ${run.generation} for update`;
    if (row === undefined || isFinalRunStatus(row.status)) return;
    const ending = execution === null ? null : endingOutside(execution);
    if (ending === null) {
      log.warn({ runId: run.id }, 'reconciler: the run is open here and gone from Temporal; it is resumed from Postgres');
      await orderResume(sql, run);
    } else {
      log.warn({ runId: run.id, ending }, 'reconciler: the run ended in Temporal, outside kOS');
      await closeFromOutside(sql, run, ending);
    }
  });
}

/** Raises the generation, so that nothing of the lost chain can write any more, and orders a start from Postgres. */
export async function orderResume(sql: TransactionSql, run: Pick<OpenRun, 'id' | 'workspaceId'>, because = 'missing in Temporal'): Promise<void> {
  await sql`update kos.runs set generation = generation + 1, claimed_by = null where id = ${run.id}`;
  await sql`insert into kos.outbox (workspace_id, run_id, kind, payload) values (${run.workspaceId}, ${run.id}, 'start', ${sql.json({ resume: true })})`;
  await recordAudit(sql, [{ workspaceId: run.workspaceId, actor: 'kos', action: 'run.resume', subject: run.id, data: { because } }]);
}

const outside = (code: string, message: string): OutcomeError => ({ code, message, fix: null, stepPath: null });

/** How a run ended that did not end itself. Null: it holds nothing that ends the run (a chain that found itself superseded). */
function endingOutside(execution: ExecutionFacts): RunEnding | null {
  switch (execution.status) {
    case 'terminated':
      return { status: 'terminated', output: null, error: outside('terminated_outside', 'The workflow was terminated in Temporal, outside kOS.') };
    case 'cancelled':
      return { status: 'cancelled', output: null, error: outside('cancelled_outside', 'The workflow was cancelled in Temporal, outside kOS.') };
    case 'timed_out':
      return { status: 'failed', output: null, error: outside('timed_out_outside', 'The workflow timed out in Temporal, outside kOS.') };
    case 'failed':
      return {
        status: 'failed',
        output: null,
        error: outside(execution.failure?.code ?? 'workflow_failed', execution.failure?.message ?? 'The workflow failed.'),
      };
    case 'completed':
    case 'running':
      return null;
  }
}

async function closeFromOutside(sql: TransactionSql, run: Pick<OpenRun, 'id' | 'workspaceId'>, ending: RunEnding): Promise<void> {
  await closeWhatIsOpen(sql, run.workspaceId, run.id);
  await sql`
    update kos.runs set status = ${ending.status}, error = ${ending.error === null ? null : sql.json(ending.error)}, waiting_for = null, finished_at = clock_timestamp()
    where id = ${run.id}`;
  await recordClosed(sql, run.workspaceId, run.id, ending);
}

/** Windows whose run has ended have nobody to tell and nothing to do. */
async function endOrphanedWindows({ system, workflows }: ReconcilerOptions): Promise<void> {
  const windows: string[] = [];
  for await (const workflowId of workflows.listRunning('forEachWindow')) windows.push(workflowId);
  if (windows.length === 0) return;
  const ids = [...new Set(windows.map(runIdOfWorkflow))];
  const final = await system.sql<
    { id: string }[]
  >`select id from kos.runs where id in ${system.sql(ids)} and status not in ('queued', 'running', 'waiting', 'paused')`;
  const ended = new Set(final.map((row) => row.id));
  for (const workflowId of windows) {
    if (ended.has(runIdOfWorkflow(workflowId))) await workflows.terminate(workflowId, 'its run has ended');
  }
}
