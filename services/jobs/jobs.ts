import { KosError } from '#core/errors.ts';
import { type BulkAction, type BulkRequest, bulkRunsAtMost, type Job, type JobItem, type JobItemStatus, type JobStatus } from '#schemas/job.ts';
import { asJsonObject, type JsonObject } from '#schemas/json.ts';
import { jsonParameter, type Transaction, type TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { recordAudit } from '#services/records/record.ts';

export interface JobChange {
  workspaceId: string;
  actor: string;
  jobId: string;
}

const sampled = 10;

/**
 * Binds an action to the runs that are found now: the job acts on exactly those, whatever fits the filter later. A dry run is `planned`, all else begins at once.
 * Throws KosError `run_not_found` (404), `bulk_too_many` (422).
 */
export async function planJob({ sql }: Transaction, request: BulkRequest, by: Omit<JobChange, 'jobId'>): Promise<string> {
  const jobId = newId('job');
  const { workspaceId, actor } = by;
  const runIds = request.ids === undefined ? await findRuns(sql, request.filter ?? {}) : await confirmRuns(sql, request.ids);
  const { ids: _ids, filter: _filter, dryRun: _dryRun, ...asked } = request;
  const action: BulkAction = { ...asked, reason: request.reason ?? null, priority: request.priority ?? null };
  const status: JobStatus = request.dryRun ? 'planned' : 'running';
  const filter = asJsonObject(request.filter ?? { ids: runIds.length });
  await sql`
    insert into kos.jobs (id, workspace_id, action, filter, status, total, created_by, started_at)
    values (${jobId}, ${workspaceId}, ${jsonParameter(sql, asJsonObject(action))}, ${sql.json(filter)}, ${status}, ${runIds.length}, ${actor}, ${request.dryRun ? null : sql`clock_timestamp()`})`;
  await sql`
    insert into kos.job_items (workspace_id, job_id, position, run_id)
    select ${workspaceId}, ${jobId}, place, run_id from jsonb_array_elements_text(${sql.json(runIds)}) with ordinality as found(run_id, place)`;
  await recordAudit(sql, [
    { workspaceId, actor, action: `job.${request.dryRun ? 'plan' : 'start'}`, subject: jobId, data: { ...facts(action), filter, total: runIds.length } },
  ]);
  return jobId;
}

/** What people gave as data is no part of the log. */
function facts({ input: _input, payload: _payload, output: _output, ...told }: BulkAction): JsonObject {
  return asJsonObject(told);
}

async function findRuns(sql: TransactionSql, filter: NonNullable<BulkRequest['filter']>): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select id from kos.runs
    where ${filter.status === undefined ? sql`true` : sql`status in ${sql(filter.status)}`}
      and ${filter.plan === undefined ? sql`true` : sql`plan_name = ${filter.plan}`}
      and ${filter.labels === undefined ? sql`true` : sql`labels @> ${sql.json(filter.labels)}`}
      and ${filter.createdAfter === undefined ? sql`true` : sql`created_at >= ${filter.createdAfter}`}
      and ${filter.createdBefore === undefined ? sql`true` : sql`created_at < ${filter.createdBefore}`}
    order by created_at, id limit ${bulkRunsAtMost + 1}`;
  if (rows.length <= bulkRunsAtMost) return rows.map(({ id }) => id);
  throw new KosError({
    code: 'bulk_too_many',
    message: `More than ${bulkRunsAtMost} runs are like that.`,
    fix: 'Narrow the filter, e.g. by createdBefore, and repeat.',
    status: 422,
  });
}

async function confirmRuns(sql: TransactionSql, ids: string[]): Promise<string[]> {
  const wanted = [...new Set(ids)];
  const known = new Set((await sql<{ id: string }[]>`select id from kos.runs where id in ${sql(wanted)}`).map(({ id }) => id));
  const unknown = wanted.filter((id) => !known.has(id));
  if (unknown.length === 0) return wanted;
  throw new KosError({
    code: 'run_not_found',
    message: `There is no run ${unknown.slice(0, 5).join(', ')} in this workspace.`,
    fix: 'kai run list',
    status: 404,
  });
}

/** A planned job begins. Throws KosError `job_not_found` (404), `job_over` (409). */
export async function startJob({ sql }: Transaction, { workspaceId, actor, jobId }: JobChange): Promise<void> {
  const status = await lockJob(sql, jobId);
  if (status === 'running') return;
  if (status !== 'planned') throw jobOver(jobId, status);
  await sql`update kos.jobs set status = 'running', started_at = clock_timestamp() where id = ${jobId}`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'job.start', subject: jobId, data: {} }]);
}

/** What is not done yet stays undone. Throws KosError `job_not_found` (404), `job_over` (409). */
export async function abortJob({ sql }: Transaction, { workspaceId, actor, jobId }: JobChange): Promise<void> {
  const status = await lockJob(sql, jobId);
  if (status === 'aborted') return;
  if (status === 'done') throw jobOver(jobId, status);
  await sql`update kos.jobs set status = 'aborted', finished_at = clock_timestamp() where id = ${jobId}`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'job.abort', subject: jobId, data: {} }]);
}

async function lockJob(sql: TransactionSql, jobId: string): Promise<JobStatus> {
  const [row] = await sql<{ status: JobStatus }[]>`select status from kos.jobs where id = ${jobId} for update`;
  if (row === undefined) throw jobNotFound(jobId);
  return row.status;
}

interface JobRow extends Omit<Job, 'counts' | 'sample' | 'createdAt' | 'finishedAt'> {
  createdAt: Date;
  finishedAt: Date | null;
}

/** Throws KosError `job_not_found`. */
export async function readJob({ sql }: Transaction, jobId: string): Promise<Job> {
  const [row] = await sql<JobRow[]>`
    select id, action, status, total, created_by as "createdBy", created_at as "createdAt", finished_at as "finishedAt" from kos.jobs where id = ${jobId}`;
  if (row === undefined) throw jobNotFound(jobId);
  const counts = await sql<{ status: JobItemStatus; count: number }[]>`
    select status, count(*)::int as count from kos.job_items where job_id = ${jobId} group by status`;
  const sample = await sql<{ runId: string; plan: string; status: string; createdAt: Date }[]>`
    select r.id as "runId", r.plan_name || '@' || r.plan_version as plan, r.status, r.created_at as "createdAt"
    from kos.job_items i join kos.runs r on r.id = i.run_id where i.job_id = ${jobId} order by i.position limit ${sampled}`;
  const none = { pending: 0, done: 0, refused: 0 };
  return {
    ...row,
    counts: { ...none, ...Object.fromEntries(counts.map(({ status, count }) => [status, count])) },
    sample: sample.map(({ createdAt, ...run }) => ({ ...run, createdAt: createdAt.toISOString() })),
    createdAt: row.createdAt.toISOString(),
    finishedAt: row.finishedAt?.toISOString() ?? null,
  };
}

/** What became of each run, in the order in which they were found; `after`: the position of the last one seen. */
export async function listJobItems(
  { sql }: Transaction,
  jobId: string,
  after: number,
  limit: number,
): Promise<{ items: JobItem[]; nextCursor: string | null }> {
  const rows = await sql<(Omit<JobItem, 'at'> & { position: number; at: Date | null })[]>`
    select position, run_id as "runId", status, code, message, at from kos.job_items
    where job_id = ${jobId} and position > ${after} order by position limit ${limit + 1}`;
  const items = rows.slice(0, limit);
  const nextCursor = rows.length > limit ? String(items.at(-1)?.position ?? '') : null;
  return { items: items.map(({ runId, status, code, message, at }) => ({ runId, status, code, message, at: at?.toISOString() ?? null })), nextCursor };
}

const jobNotFound = (jobId: string): KosError =>
  new KosError({
    code: 'job_not_found',
    message: `There is no job ${jobId} in this workspace.`,
    fix: 'Look at the answer of the bulk request: it names its job.',
    status: 404,
  });

const jobOver = (jobId: string, status: JobStatus): KosError =>
  new KosError({ code: 'job_over', message: `The job ${jobId} is ${status} already.`, fix: `See what it did: kai run bulk show ${jobId}`, status: 409 });
