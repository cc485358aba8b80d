import { KosError } from '#core/errors.ts';
import type { BulkAction } from '#schemas/job.ts';
import type { Database, SystemDatabase, Transaction } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import type { RunChange } from '#services/runs/actions/locked-run.ts';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { prioritizeRun } from '#services/runs/actions/prioritize.ts';
import { retryRun } from '#services/runs/actions/retry.ts';
import { terminateRun } from '#services/runs/actions/terminate.ts';
import { requestCancel } from '#services/runs/change.ts';

interface RunningJob {
  id: string;
  workspaceId: string;
  createdBy: string;
  action: BulkAction;
}

interface Item {
  position: number;
  runId: string;
}

/** Runs acted on before others have their turn. */
const batch = 50;

/** Works off some of every running job; true: there is more. Each run is one transaction with its mark, so a kill neither repeats nor forgets one. */
export async function workOnJobs({ database, system }: { database: Database; system: SystemDatabase }): Promise<boolean> {
  const running = await system.sql<RunningJob[]>`
    select id, workspace_id as "workspaceId", created_by as "createdBy", action from kos.jobs where status = 'running' order by created_at`;
  let more = false;
  for (const job of running) {
    let worked = 0;
    while (worked < batch && (await workOnNext(database, job))) worked += 1;
    if (worked === batch) more = true;
    else await closeJob(database, job);
  }
  return more;
}

/** False: nothing is left that nobody works on. */
async function workOnNext(database: Database, job: RunningJob): Promise<boolean> {
  let item: Item | null = null;
  try {
    await database.inWorkspace(job.workspaceId, async (transaction) => {
      item = await takeItem(transaction, job);
      if (item === null) return;
      await act(transaction, job.action, { workspaceId: job.workspaceId, actor: job.createdBy, runId: item.runId });
      await mark(transaction, job, item, null);
    });
  } catch (error) {
    if (!(error instanceof KosError) || item === null) throw error;
    const refused: Item = item;
    await database.inWorkspace(job.workspaceId, (transaction) => mark(transaction, job, refused, error));
  }
  return item !== null;
}

/** Locked to the end of its transaction: another process takes the next one. An aborted job has none. */
async function takeItem({ sql }: Transaction, job: RunningJob): Promise<Item | null> {
  const [item] = await sql<Item[]>`
    select i.position, i.run_id as "runId" from kos.job_items i join kos.jobs j on j.id = i.job_id
    where i.job_id = ${job.id} and i.status = 'pending' and j.status = 'running' order by i.position limit 1 for update of i skip locked`;
  return item ?? null;
}

async function act(transaction: Transaction, { verb, reason, priority, undo = true }: BulkAction, change: RunChange): Promise<void> {
  switch (verb) {
    case 'cancel':
      return await requestCancel(transaction, { ...change, reason, undo });
    case 'terminate':
      return await terminateRun(transaction, { ...change, reason });
    case 'pause':
      return await pauseRun(transaction, { ...change, reason });
    case 'resume':
      return await resumeRun(transaction, { ...change, reason });
    case 'retry':
      return await retryRun(transaction, { ...change, reason });
    case 'priority':
      return await prioritizeRun(transaction, { ...change, priority: priority ?? 3 });
  }
}

async function mark({ sql }: Transaction, job: RunningJob, { position }: Item, refusal: KosError | null): Promise<void> {
  await sql`
    update kos.job_items set status = ${refusal === null ? 'done' : 'refused'}, code = ${refusal?.code ?? null}, message = ${refusal?.message ?? null}, at = clock_timestamp()
    where job_id = ${job.id} and position = ${position} and status = 'pending'`;
}

async function closeJob(database: Database, { id, workspaceId, createdBy }: RunningJob): Promise<void> {
  await database.inWorkspace(workspaceId, async ({ sql }) => {
    const closed = await sql<{ total: number }[]>`
      update kos.jobs set status = 'done', finished_at = clock_timestamp()
      where id = ${id} and status = 'running' and not exists (select from kos.job_items where job_id = ${id} and status = 'pending') returning total`;
    for (const { total } of closed) await recordAudit(sql, [{ workspaceId, actor: createdBy, action: 'job.done', subject: id, data: { total } }]);
  });
}
