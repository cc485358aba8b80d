import { KosError } from '#core/errors.ts';
import type { JsonObject } from '#schemas/json.ts';
import { isFinalRunStatus } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { lockRun } from './locked-run.ts';
import type { Retried } from './mark-retried.ts';
import { retryRun } from './retry.ts';

/** A step that runs another plan, in a run that somebody has retried. */
export interface CallingStep {
  workspaceId: string;
  runId: string;
  stepPath: string;
}

/** The run that the step goes on with, and the plan version that it runs. */
export interface ContinuedRun {
  runId: string;
  planName: string;
  planVersion: number;
  input: JsonObject;
}

/**
 * Of a step that begins again since its run was retried: the run that it waited for last is retried in this transaction, and is to be waited for; so what
 * succeeded in it stays, and its effects keep their keys. One that still ends, or still undoes what it did, is waited for first. Null: another one is to be
 * started, for nobody has retried, or its input has changed (`isSame`), or what the last one did is undone. Throws KosError `sub_run_not_undone` (409).
 */
export async function continueSubRun(sql: TransactionSql, step: CallingStep, isSame: (last: ContinuedRun) => Promise<boolean>): Promise<ContinuedRun | null> {
  const retried = await readRetried(sql, step);
  if (retried === null) return null;
  const last = await readLast(sql, step);
  if (last === null) return await forget(sql, step, null);
  // In this order, which is a pause's, too.
  await sql`select from kos.runs where id = ${step.runId} for no key update`;
  const run = await lockRun(sql, last.runId);
  if (!isFinalRunStatus(run.status)) return run.cancelRequested ? last : await forget(sql, step, last);
  if (run.status === 'succeeded') return await forget(sql, step, last);
  if (run.ending !== null) return await retryItsUndos(sql, step, retried, last);
  if (!(await isSame(last))) return await forget(sql, step, null);
  await retryIt(sql, step, retried, last);
  return await forget(sql, step, last);
}

/** The run that a step waited for has ended, and the step is to go on with it: it is to be opened again. */
export async function isToBeContinued(sql: TransactionSql, step: CallingStep): Promise<boolean> {
  return (await readRetried(sql, step)) !== null;
}

async function readRetried(sql: TransactionSql, { runId, stepPath }: CallingStep): Promise<Retried | null> {
  const [row] = await sql<{ retried: Retried | null }[]>`select metadata->'retried' as retried from kos.steps where run_id = ${runId} and path = ${stepPath}`;
  return row?.retried ?? null;
}

/** Null: there was none, or it was deleted. */
async function readLast(sql: TransactionSql, { runId, stepPath }: CallingStep): Promise<ContinuedRun | null> {
  const [row] = await sql<ContinuedRun[]>`
    select r.id as "runId", r.plan_name as "planName", r.plan_version as "planVersion", r.input from kos.waits w join kos.runs r on r.id = w.child_run_id
    where w.run_id = ${runId} and w.step_path = ${stepPath} and w.kind = 'run' order by w.opened_at desc, w.id desc limit 1`;
  return row ?? null;
}

/** From here on the step is as any other: where its plan lets it try again by itself, that starts another run. */
async function forget<Continued>(sql: TransactionSql, { runId, stepPath }: CallingStep, continued: Continued): Promise<Continued> {
  await sql`update kos.steps set metadata = metadata - 'retried' where run_id = ${runId} and path = ${stepPath}`;
  return continued;
}

const retryIt = (sql: TransactionSql, { workspaceId, runId }: CallingStep, { by, reason }: Retried, last: ContinuedRun): Promise<void> =>
  retryRun({ sql }, { workspaceId, actor: by, runId: last.runId, reason, caller: runId });

/** It goes only back: once all is undone, another run begins; until then none does. */
async function retryItsUndos(sql: TransactionSql, step: CallingStep, retried: Retried, last: ContinuedRun): Promise<ContinuedRun | null> {
  if (retried.undos === true) {
    const [left] = await sql`select from kos.steps where run_id = ${last.runId} and undoes is not null and status in ('failed', 'cancelled') limit 1`;
    if (left !== undefined) throw await forget(sql, step, notUndone(step, last));
    return await forget(sql, step, null);
  }
  try {
    await retryIt(sql, step, retried, last);
  } catch (error) {
    if (error instanceof KosError && error.code === 'run_compensated') return await forget(sql, step, null);
    throw error;
  }
  await sql`
    update kos.steps set metadata = jsonb_set(metadata, '{retried,undos}', 'true'::jsonb) where run_id = ${step.runId} and path = ${step.stepPath}`;
  return last;
}

const notUndone = ({ stepPath }: CallingStep, { runId }: ContinuedRun): KosError =>
  new KosError({
    code: 'sub_run_not_undone',
    message: `${stepPath} does not start another run: the last one, ${runId}, could not undo all that it did.`,
    fix: `See what is left, and say it of its undo: kai run get ${runId}`,
    status: 409,
  });
