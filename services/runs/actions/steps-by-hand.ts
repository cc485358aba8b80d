import { KosError } from '#core/errors.ts';
import type { RunAction } from '#core/policy/run-actions.ts';
import { isFinalRunStatus, type StepStatus } from '#schemas/run.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { jsonParameter, type Transaction, type TransactionSql } from '#services/database/connect.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { effectKeyOf } from '../ledger/effects.ts';
import { outputIsInline, stepOutputBytesAtMost, storeOutput } from '../ledger/record-outcome.ts';
import { lockRunFor, type LockedRun, orderLook, type RunChange } from './locked-run.ts';

export interface StepChange extends RunChange {
  /** `id`, or `id[n]` of an item. */
  path: string;
  reason: string;
}

/** What a step is by its plan; the caller has looked whether the output fits it. */
export interface StepDefinition {
  number: number;
  kind: string;
}

/** What a person can end: nothing works on it, and it has not ended well. */
const endable: readonly StepStatus[] = ['pending', 'retrying', 'failed', 'cancelled', 'uncertain'];

/** The step has succeeded with this output, whatever came of it before. Throws KosError (409) where the state of run or step does not allow it. */
export async function overrideStep({ sql }: Transaction, change: StepChange & { output: Json }, step: StepDefinition): Promise<void> {
  const run = await lockFor(sql, 'override', change);
  refuseApproval('override', change, step);
  await endByHand(sql, change, step, { status: 'succeeded', output: change.output, by: 'override' });
  await tell(sql, run, change, step, 'override', 'step.succeeded');
}

/** The step is not to run; what depends on it is skipped with it, unless its `when` looks at that. Throws as `overrideStep`. */
export async function skipStep({ sql }: Transaction, change: StepChange, step: StepDefinition): Promise<void> {
  const run = await lockFor(sql, 'skip', change);
  refuseApproval('skip', change, step);
  await endByHand(sql, change, step, { status: 'skipped', output: null, by: 'skip' });
  await tell(sql, run, change, step, 'skip', 'step.skipped');
}

/** `happened`: with this output. `did_not`: it runs again. `retry`: it is tried again under the same key, which the outside recognises. */
export type Resolution = { outcome: 'happened'; output: Json } | { outcome: 'did_not' } | { outcome: 'retry' };

/** What a person has found out about an effect that may have happened. Throws KosError `step_not_uncertain` (409). */
export async function resolveStep({ sql }: Transaction, change: StepChange, step: StepDefinition, resolution: Resolution): Promise<void> {
  const run = await lockFor(sql, 'resolve', change);
  const before = await lockStep(sql, change);
  if (before !== 'uncertain') throw notUncertain(change, before);
  const effect = { happened: 'happened', did_not: 'none', retry: 'uncertain' }[resolution.outcome];
  await sql`update kos.effects set status = ${effect}, updated_at = clock_timestamp() where key = ${effectKeyOf(change.runId, change.path)}`;
  if (resolution.outcome === 'happened') await endByHand(sql, change, step, { status: 'succeeded', output: resolution.output, by: 'resolve' });
  else await tryAgain(sql, change);
  await reopenForEach(sql, change);
  await tell(sql, run, change, step, `resolve.${resolution.outcome}`, resolution.outcome === 'happened' ? 'step.succeeded' : 'step.retrying');
}

async function lockFor(sql: TransactionSql, action: RunAction, { runId }: StepChange): Promise<LockedRun> {
  const run = await lockRunFor(sql, action, runId);
  if (run === null) throw new Error(`${action} answers for no state of a run that there is nothing to do`);
  return run;
}

async function lockStep(sql: TransactionSql, { runId, path }: StepChange): Promise<StepStatus | null> {
  const [row] = await sql<{ status: StepStatus }[]>`select status from kos.steps where run_id = ${runId} and path = ${path} for update`;
  return row?.status ?? null;
}

/** An approval is a decision that is bound to what was shown: it is decided, by those who may, or not at all. */
function refuseApproval(action: string, { path, runId }: StepChange, { kind }: StepDefinition): void {
  if (kind !== 'approval' && kind !== 'vote') return;
  throw new KosError({
    code: 'approval_not_by_hand',
    message: `${path} is an approval: to ${action} it would let run what nobody has approved.`,
    fix: `Decide it: kai approval list. What holds the run up: kai run why ${runId}`,
    status: 409,
  });
}

interface HandMadeEnd {
  status: 'succeeded' | 'skipped';
  output: Json;
  by: 'override' | 'skip' | 'resolve';
}

/** One statement competes with workers for the row: whoever has it first is first. An item must be there already; a step may not have begun. */
async function endByHand(sql: TransactionSql, change: StepChange, step: StepDefinition, end: HandMadeEnd): Promise<void> {
  const { workspaceId, runId, path, actor, reason } = change;
  const bytes = Buffer.byteLength(JSON.stringify(end.output));
  if (bytes > stepOutputBytesAtMost) throw tooLarge(path, bytes);
  const inline = outputIsInline(end.output);
  const outputId = inline ? null : await storeOutput(sql, change, end.output);
  const metadata: JsonObject = { byHand: { action: end.by, actor, reason }, ...(end.status === 'skipped' ? { reason } : {}) };
  const item = itemOf(path);
  if (item !== null) await assertItem(sql, change);
  const [ended] = await sql<{ path: string }[]>`
    insert into kos.steps as s (workspace_id, run_id, path, step, item, kind, status, attempt, fence, output, output_id, finished_at, metadata)
    values (${workspaceId}, ${runId}, ${path}, ${step.number}, ${item}, ${step.kind}, ${end.status}, 0, 1, ${jsonParameter(sql, inline ? end.output : null)}, ${outputId},
      clock_timestamp(), ${sql.json(metadata)})
    on conflict (run_id, path) do update set status = excluded.status, fence = s.fence + 1, output = excluded.output, output_id = excluded.output_id, error = null,
      waiting_for = null, retry_at = null, finished_at = excluded.finished_at, metadata = (s.metadata - 'tolerated') || excluded.metadata
    where s.status in ${sql(endable)} returning path`;
  if (ended === undefined) throw notEndable(change, await lockStep(sql, change));
}

const itemOf = (path: string): number | null => {
  const item = /\[(\d+)\]$/.exec(path)?.[1];
  return item === undefined ? null : Number(item);
};

async function assertItem(sql: TransactionSql, change: StepChange): Promise<void> {
  if ((await lockStep(sql, change)) !== null) return;
  throw new KosError({
    code: 'step_not_found',
    message: `The run ${change.runId} has no item ${change.path}, or its list has not been opened.`,
    fix: `kai run get ${change.runId}`,
    status: 404,
  });
}

async function tryAgain(sql: TransactionSql, { runId, path, actor, reason }: StepChange): Promise<void> {
  const metadata: JsonObject = { byHand: { action: 'resolve', actor, reason } };
  await sql`
    update kos.steps set status = 'pending', fence = fence + 1, attempt = 0, error = null, waiting_for = null, retry_at = null, started_at = null, finished_at = null,
      metadata = metadata || ${sql.json(metadata)} || jsonb_build_object('attemptsBefore', coalesce((metadata->>'attemptsBefore')::int, 0) + attempt)
    where run_id = ${runId} and path = ${path}`;
}

/** A `forEach` that was uncertain for its items goes on when people have spoken on all of them. */
async function reopenForEach(sql: TransactionSql, { runId, path, actor, reason }: StepChange): Promise<void> {
  const parent = path.replace(/\[\d+\]$/, '');
  if (parent === path) return;
  await sql`
    update kos.steps p set status = 'running', fence = fence + 1, error = null, finished_at = null,
      metadata = metadata || ${sql.json({ byHand: { action: 'resolve', actor, reason } })}
    where p.run_id = ${runId} and p.path = ${parent} and p.status = 'uncertain'
      and not exists (select from kos.steps i where i.run_id = p.run_id and i.step = p.step and i.item is not null and i.status = 'uncertain')`;
}

async function tell(
  sql: TransactionSql,
  run: LockedRun,
  change: StepChange,
  step: StepDefinition,
  action: string,
  event: 'step.succeeded' | 'step.skipped' | 'step.retrying',
): Promise<void> {
  const { workspaceId, runId, path, actor, reason } = change;
  await sql`update kos.runs set control_version = control_version + 1 where id = ${runId}`;
  // A run that has ended takes it up when it is retried.
  if (!isFinalRunStatus(run.status)) await orderLook(sql, change);
  await recordEvents(sql, [{ workspaceId, runId, type: event, data: { stepPath: path, kind: step.kind, by: actor, reason, byHand: action } }]);
  await recordAudit(sql, [{ workspaceId, actor, action: `step.${action}`, subject: runId, data: { stepPath: path, reason } }]);
}

const conflict = (code: string, message: string, fix: string): KosError => new KosError({ code, message, fix, status: 409 });

const notEndable = ({ runId, path }: StepChange, status: StepStatus | null): KosError =>
  status === 'running' || status === 'waiting'
    ? conflict(
        'step_at_work',
        `${path} of ${runId} is ${status}: it ends by itself.`,
        `See what it does: kai run why ${runId}. To stop the run: kai run cancel ${runId}`,
      )
    : conflict('step_ended', `${path} of ${runId} has ${status ?? 'ended'} already.`, `To run it again: kai run fork ${runId} --from ${path}`);

const notUncertain = ({ runId, path }: StepChange, status: StepStatus | null): KosError =>
  conflict('step_not_uncertain', `${path} of ${runId} is ${status ?? 'not begun'}, not uncertain: there is nothing to resolve.`, `kai run get ${runId}`);

const tooLarge = (path: string, bytes: number): KosError =>
  new KosError({
    code: 'output_too_large',
    message: `The output for ${path} has ${bytes} bytes; at most ${stepOutputBytesAtMost} are allowed.`,
    fix: 'Make it smaller.',
    status: 422,
  });
