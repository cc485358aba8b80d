import { KosError } from '#core/errors.ts';
import type { BulkAction, JobItem } from '#schemas/job.ts';
import type { Database, SystemDatabase, Transaction } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import type { RunChange } from '#services/runs/actions/locked-run.ts';
import { type ActionByItself, type ActionInTransaction, actByItself, actIn, type BulkDependencies, opensOwnTransaction } from './act.ts';

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

export interface JobDependencies extends BulkDependencies {
  system: SystemDatabase;
}

/** Works off some of every running job; true: there is more. Each run is one transaction with its mark, so a kill neither repeats nor forgets one. */
export async function workOnJobs(dependencies: JobDependencies): Promise<boolean> {
  const running = await dependencies.system.sql<RunningJob[]>`
    select id, workspace_id as "workspaceId", created_by as "createdBy", action from kos.jobs where status = 'running' order by created_at`;
  let more = false;
  for (const job of running) {
    let worked = 0;
    while (worked < batch && (await workOnNext(dependencies, job))) worked += 1;
    if (worked === batch) more = true;
    else await closeJob(dependencies.database, job);
  }
  return more;
}

/** False: nothing is left that nobody works on. */
async function workOnNext(dependencies: JobDependencies, job: RunningJob): Promise<boolean> {
  const { database } = dependencies;
  const { action, workspaceId } = job;
  const { verb } = action;
  const found: { item: Item | null } = { item: null };
  try {
    if (opensOwnTransaction(verb)) await actOnNext(dependencies, { ...job, action: { ...action, verb } }, found);
    else await actOnNextIn(dependencies, { ...job, action: { ...action, verb } }, found);
  } catch (error) {
    const { item } = found;
    if (error instanceof TakenByAnother) return true;
    if (!(error instanceof KosError) || item === null) throw error;
    await database.inWorkspace(workspaceId, (transaction) => mark(transaction, job, item, { status: 'refused', code: error.code, message: error.message }));
  }
  return found.item !== null;
}

const changeOf = ({ workspaceId, createdBy }: RunningJob, { runId }: Item): RunChange => ({ workspaceId, actor: createdBy, runId });

async function actOnNextIn(dependencies: JobDependencies, job: RunningJob & { action: ActionInTransaction }, found: { item: Item | null }): Promise<void> {
  await dependencies.database.inWorkspace(job.workspaceId, async (transaction) => {
    found.item = await takeItem(transaction, job);
    if (found.item === null) return;
    await actIn(transaction, dependencies, job.action, changeOf(job, found.item));
    await mark(transaction, job, found.item, { status: 'done', code: null, message: null });
  });
}

/** Looked up first; the transaction that acts takes it, or finds that somebody else has. */
async function actOnNext(dependencies: JobDependencies, job: RunningJob & { action: ActionByItself }, found: { item: Item | null }): Promise<void> {
  const item = await dependencies.database.inWorkspace(job.workspaceId, (transaction) => takeItem(transaction, job));
  found.item = item;
  if (item === null) return;
  await actByItself(dependencies, job.action, changeOf(job, item), async (transaction, message) => {
    await assertOurs(transaction, job, item);
    await mark(transaction, job, item, { status: 'done', code: null, message });
  });
}

/** Another process was faster, or the job was aborted: what was about to be written is not. */
class TakenByAnother extends Error {}

async function assertOurs({ sql }: Transaction, job: RunningJob, { position }: Item): Promise<void> {
  const [item] = await sql`
    select from kos.job_items i join kos.jobs j on j.id = i.job_id
    where i.job_id = ${job.id} and i.position = ${position} and i.status = 'pending' and j.status = 'running' for update of i`;
  if (item === undefined) throw new TakenByAnother(`The run at place ${position} of ${job.id} was taken by another process.`);
}

/** Locked to the end of its transaction: another process takes the next one. An aborted job has none. */
async function takeItem({ sql }: Transaction, job: RunningJob): Promise<Item | null> {
  const [item] = await sql<Item[]>`
    select i.position, i.run_id as "runId" from kos.job_items i join kos.jobs j on j.id = i.job_id
    where i.job_id = ${job.id} and i.status = 'pending' and j.status = 'running' order by i.position limit 1 for update of i skip locked`;
  return item ?? null;
}

type Mark = Pick<JobItem, 'status' | 'code' | 'message'>;

async function mark({ sql }: Transaction, job: RunningJob, { position }: Item, { status, code, message }: Mark): Promise<void> {
  await sql`
    update kos.job_items set status = ${status}, code = ${code}, message = ${message}, at = clock_timestamp()
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
