import { KosError } from '#core/errors.ts';
import { itemPath, parseStepPath, undoneBy } from '#core/plan/step-path.ts';
import type { RunAction } from '#core/policy/run-actions.ts';
import { isFinalRunStatus, type StepStatus, type WaitingFor } from '#schemas/run.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { jsonParameter, type Transaction, type TransactionSql } from '#services/database/connect.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { lockSignals } from '#services/signals/ledger.ts';
import { effectKeyOf } from '../ledger/effects.ts';
import { markCompensated } from '../ledger/undos.ts';
import { outputIsInline, stepOutputBytesAtMost, storeOutput } from '../ledger/record-outcome.ts';
import { standIn } from '../ledger/stand-in.ts';
import { lockOpenWaits, type WaitKind } from '../ledger/waits.ts';
import { assertDirection } from './direction.ts';
import { lockRunFor, type LockedRun, orderLook, type RunChange } from './locked-run.ts';
import { type Gate, withdrawNeedlessApproval, withdrawWait } from './withdraw-waits.ts';

export interface StepChange extends RunChange {
  /** `id`, `id[n]` of an item, `id#n` of a round. */
  path: string;
  reason: string;
}

/** What a step is by its plan; the caller has looked whether the output fits it. */
export interface StepDefinition {
  number: number;
  kind: string;
  /** It runs in rounds, and the path names none of them. */
  repeats?: boolean;
  /** It names the `forEach` itself, not an item of it. */
  joins?: boolean;
  fallbackOf?: string | null;
  /** The approval that covers it. */
  gate?: Gate | null;
}

/** What a person can end: nothing works on it, and it has not ended well. One that waits is added where its wait can be withdrawn. */
const endable: readonly StepStatus[] = ['pending', 'retrying', 'failed', 'cancelled', 'uncertain'];

/** The step has succeeded with this output, whatever came of it before. Throws KosError (409) where the state of run or step does not allow it. */
export async function overrideStep({ sql }: Transaction, change: StepChange & { output: Json }, step: StepDefinition): Promise<void> {
  const run = await lockToEnd(sql, 'override', change, step);
  const facts = await endByHand(sql, change, step, { status: 'succeeded', output: change.output, by: 'override' });
  await reopenAbove(sql, run, change);
  await tell(sql, run, change, step, 'override', 'step.succeeded', facts);
  if (step.gate) await withdrawNeedlessApproval(sql, change, step.gate);
}

/** The step is not to run; what depends on it is skipped with it, unless its `when` looks at that. Throws as `overrideStep`. */
export async function skipStep({ sql }: Transaction, change: StepChange, step: StepDefinition): Promise<void> {
  const run = await lockToEnd(sql, 'skip', change, step);
  refuseRound(change);
  const facts = await endByHand(sql, change, step, { status: 'skipped', output: null, by: 'skip' });
  await reopenAbove(sql, run, change);
  await tell(sql, run, change, step, 'skip', 'step.skipped', facts);
  if (step.gate) await withdrawNeedlessApproval(sql, change, step.gate);
}

/** `happened`: with this output. `did_not`: it runs again. `retry`: it is tried again under the same key, which the outside recognises. */
export type Resolution = { outcome: 'happened'; output: Json } | { outcome: 'did_not' } | { outcome: 'retry' };

/** What a person has found out about an effect that may have happened. Throws KosError `step_not_uncertain` (409). */
export async function resolveStep({ sql }: Transaction, change: StepChange, step: StepDefinition, resolution: Resolution): Promise<void> {
  const run = await lockFor(sql, 'resolve', change, resolution.outcome);
  const before = await lockStep(sql, change);
  if (before !== 'uncertain') throw notUncertain(change, before);
  if (step.joins === true) throw await itemsMeant(sql, change);
  if (step.repeats === true) throw await roundMeant(sql, change);
  const effect = { happened: 'happened', did_not: 'none', retry: 'uncertain' }[resolution.outcome];
  await sql`update kos.effects set status = ${effect}, updated_at = clock_timestamp() where key = ${effectKeyOf(change.runId, change.path)}`;
  if (resolution.outcome === 'happened') await endByHand(sql, change, step, { status: 'succeeded', output: resolution.output, by: 'resolve' });
  else await tryAgain(sql, change);
  await reopenAbove(sql, run, change);
  await tell(sql, run, change, step, `resolve.${resolution.outcome}`, resolution.outcome === 'happened' ? 'step.succeeded' : 'step.retrying');
}

/**
 * Signals first: one that comes meanwhile finds its step waiting, or ended. Then waits, steps and the run, in the order of who looks at a wait or takes a step up
 * again: in another one the two would wait for each other.
 */
async function lockToEnd(sql: TransactionSql, action: 'override' | 'skip', change: StepChange, step: StepDefinition): Promise<LockedRun> {
  const { runId, path } = change;
  if (step.kind === 'signal') await lockSignals(sql, runId);
  await lockOpenWaits(sql, runId, step.gate ? [path, step.gate.path] : [path]);
  await lockOpenSteps(sql, runId, step.fallbackOf ? [path, step.fallbackOf] : [path]);
  const run = await lockFor(sql, action, change, null);
  await refuseApproval(sql, action, change, step);
  return run;
}

async function lockFor(sql: TransactionSql, action: RunAction, change: StepChange, resolution: Resolution['outcome'] | null): Promise<LockedRun> {
  const { undo } = parseStepPath(change.path);
  const run = await lockRunFor(sql, action, change.runId, { despiteCancel: undo });
  if (run === null) throw new Error(`${action} answers for no state of a run that there is nothing to do`);
  assertDirection(change, { undoes: run.ending !== null, undo, resolution });
  return run;
}

async function lockStep(sql: TransactionSql, { runId, path }: Pick<StepChange, 'runId' | 'path'>): Promise<StepStatus | null> {
  const [row] = await sql<{ status: StepStatus }[]>`select status from kos.steps where run_id = ${runId} and path = ${path} for update`;
  return row?.status ?? null;
}

/** Those that have ended stay free: a retry of their run takes them after the run. */
async function lockOpenSteps(sql: TransactionSql, runId: string, paths: string[]): Promise<void> {
  await sql`
    select from kos.steps where run_id = ${runId} and path in ${sql(paths)} and status in ('pending', 'running', 'waiting', 'retrying')
    order by path for update`;
}

/** An approval is a decision that is bound to what was shown: it is decided, by those who may, or not at all. */
async function refuseApproval(sql: TransactionSql, action: string, { path, runId }: StepChange, { kind }: StepDefinition): Promise<void> {
  if (kind !== 'approval' && kind !== 'vote') return;
  const [open] = await sql<{ id: string }[]>`select id from kos.approvals where run_id = ${runId} and step_path = ${path} and status = 'open'`;
  throw conflict(
    'approval_not_by_hand',
    `${path} is an approval: to ${action} it would let run what nobody has approved.`,
    open === undefined
      ? `It can be decided once it is asked for: kai run why ${runId}`
      : `Decide it: kai approval approve ${open.id}, or kai approval deny ${open.id} --reason R`,
  );
}

/** What comes after a round depends on its output. */
function refuseRound({ path, runId }: StepChange): void {
  const { iteration, id, item, undo } = parseStepPath(path);
  if (iteration === null || undo) return;
  throw conflict(
    'round_not_skippable',
    `${path} is a round: whether another follows depends on its output, so it cannot be skipped.`,
    `Give its output: kai run override ${runId} '${path}' --output JSON --reason R. Or skip the whole: kai run skip ${runId} '${itemPath(id, item)}'`,
  );
}

async function roundMeant(sql: TransactionSql, { runId, path }: StepChange): Promise<KosError> {
  const [round] = await sql<{ path: string }[]>`
    select path from kos.steps where run_id = ${runId} and iteration is not null and undoes is null and split_part(path, '#', 1) = ${path} and status = 'uncertain' limit 1`;
  return conflict(
    'round_meant',
    `${path} runs in rounds: it is uncertain for one of them.`,
    `Resolve that: kai run resolve ${runId} '${round?.path ?? `${path}#0`}' happened|did-not --reason R`,
  );
}

async function itemsMeant(sql: TransactionSql, { runId, path }: StepChange): Promise<KosError> {
  const uncertain = await sql<{ path: string }[]>`
    select path from kos.steps where run_id = ${runId} and item is not null and undoes is null and split_part(path, '[', 1) = ${path} and status = 'uncertain'
    order by item, iteration nulls last`;
  return conflict(
    'item_meant',
    `${path} has items: it is uncertain for some of them.`,
    `Resolve each: kai run resolve ${runId} '${uncertain[0]?.path ?? `${path}[0]`}' happened|did-not --reason R. Which they are: kai run why ${runId}`,
  );
}

interface HandMadeEnd {
  status: 'succeeded' | 'skipped';
  output: Json;
  by: 'override' | 'skip' | 'resolve';
}

/** What else its end has brought about, for the record. */
interface HandMadeFacts {
  /** What was waited for, and is no more. */
  withdrawn?: WaitKind;
}

/** One statement competes with workers for the row: whoever has it first is first. An item must be there already; a step may not have begun. */
async function endByHand(sql: TransactionSql, change: StepChange, step: StepDefinition, end: HandMadeEnd): Promise<HandMadeFacts> {
  const { workspaceId, runId, path, actor, reason } = change;
  const bytes = Buffer.byteLength(JSON.stringify(end.output));
  if (bytes > stepOutputBytesAtMost) throw tooLarge(path, bytes);
  const inline = outputIsInline(end.output);
  const outputId = inline ? null : await storeOutput(sql, change, end.output);
  const metadata: JsonObject = { byHand: { action: end.by, actor, reason }, ...(end.status === 'skipped' ? { reason } : {}) };
  const { item, iteration, undo } = parseStepPath(path);
  if (item !== null || iteration !== null || undo) await assertBegun(sql, change);
  const fallbackOf = step.fallbackOf ?? null;
  // Whichever of the two ends last must see the other's end: a failure under way is waited for.
  if (fallbackOf !== null) await lockStep(sql, { runId, path: fallbackOf });
  const withdrawn = await withdrawWait(sql, change);
  const [ended] = await sql<{ path: string }[]>`
    insert into kos.steps as s (workspace_id, run_id, path, step, item, iteration, kind, status, attempt, fence, output, output_id, finished_at, metadata)
    values (${workspaceId}, ${runId}, ${path}, ${step.number}, ${item}, ${iteration}, ${step.kind}, ${end.status}, 0, 1, ${jsonParameter(sql, inline ? end.output : null)}, ${outputId},
      clock_timestamp(), ${sql.json(metadata)})
    on conflict (run_id, path) do update set status = excluded.status, fence = s.fence + 1, output = excluded.output, output_id = excluded.output_id, error = null,
      waiting_for = null, retry_at = null, finished_at = excluded.finished_at, metadata = (s.metadata - 'tolerated') || excluded.metadata
    where s.status in ${sql(endable)} or (s.status = 'waiting' and (s.retry_at is not null or ${withdrawn !== null})) returning path`;
  if (ended === undefined) throw await notEndable(sql, change, step);
  if (step.repeats === true) await endOpenRound(sql, change, step.number);
  if (fallbackOf !== null) await standIn(sql, { runId, failed: fallbackOf, fallback: path });
  if (undo && end.status === 'succeeded') await markCompensated(sql, change, [undoneBy(path)]);
  return withdrawn === null ? {} : { withdrawn };
}

/** Of a step that is ended between two attempts of a round. */
async function endOpenRound(sql: TransactionSql, { runId, path }: StepChange, step: number): Promise<void> {
  await sql`
    update kos.steps set status = 'cancelled', fence = fence + 1, waiting_for = null, retry_at = null, finished_at = clock_timestamp()
    where run_id = ${runId} and step = ${step} and iteration is not null and undoes is null and split_part(path, '#', 1) = ${path} and status in ('pending', 'retrying')`;
}

async function assertBegun(sql: TransactionSql, change: StepChange): Promise<void> {
  if ((await lockStep(sql, change)) !== null) return;
  throw new KosError({
    code: 'step_not_found',
    message: `The run ${change.runId} has no ${change.path}, or that has not begun.`,
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

/** What was uncertain for this round, or this item, goes on when people have spoken on all of them. */
async function reopenAbove(sql: TransactionSql, run: LockedRun, change: StepChange): Promise<void> {
  // Nothing goes on any more: what is left of it is undone.
  if (run.ending !== null) return;
  const { id, item, iteration } = parseStepPath(change.path);
  if (iteration !== null) await reopenRepeating(sql, change, itemPath(id, item));
  if (item !== null) await reopenForEach(sql, change, id);
}

/** A round, and its step goes on behind it. */
async function reopenRepeating(sql: TransactionSql, { runId, actor, reason }: StepChange, path: string): Promise<void> {
  await sql`
    update kos.steps set status = 'running', fence = fence + 1, error = null, finished_at = null, metadata = metadata || ${sql.json({ byHand: { action: 'resolve', actor, reason } })}
    where run_id = ${runId} and path = ${path} and status = 'uncertain'`;
}

/** The last of its items, and a `forEach` goes on. */
async function reopenForEach(sql: TransactionSql, { runId, actor, reason }: StepChange, parent: string): Promise<void> {
  await sql`
    update kos.steps p set status = 'running', fence = fence + 1, error = null, finished_at = null,
      metadata = metadata || ${sql.json({ byHand: { action: 'resolve', actor, reason } })}
    where p.run_id = ${runId} and p.path = ${parent} and p.status = 'uncertain'
      and not exists (select from kos.steps i where i.run_id = p.run_id and i.step = p.step and i.item is not null and i.iteration is null and i.undoes is null and i.status = 'uncertain')`;
}

async function tell(
  sql: TransactionSql,
  run: LockedRun,
  change: StepChange,
  step: StepDefinition,
  action: string,
  event: 'step.succeeded' | 'step.skipped' | 'step.retrying',
  facts: HandMadeFacts = {},
): Promise<void> {
  const { workspaceId, runId, path, actor, reason } = change;
  await sql`update kos.runs set control_version = control_version + 1 where id = ${runId}`;
  // A run that has ended takes it up when it is retried.
  if (!isFinalRunStatus(run.status)) await orderLook(sql, change);
  await recordEvents(sql, [{ workspaceId, runId, type: event, data: { stepPath: path, kind: step.kind, by: actor, reason, byHand: action, ...facts } }]);
  await recordAudit(sql, [{ workspaceId, actor, action: `step.${action}`, subject: runId, data: { stepPath: path, reason, ...facts } }]);
}

const conflict = (code: string, message: string, fix: string): KosError => new KosError({ code, message, fix, status: 409 });

/** What is known of a step that cannot be ended by hand. */
interface AtWork {
  status: StepStatus;
  kind: string;
  waitingFor: WaitingFor | null;
  /** The first of its items that waits. */
  waitingItem: string | null;
}

async function notEndable(sql: TransactionSql, { runId, path }: StepChange, { joins }: StepDefinition): Promise<KosError> {
  const [found] = await sql<AtWork[]>`
    select status, kind, waiting_for as "waitingFor",
      (select i.path from kos.steps i where i.run_id = s.run_id and i.step = s.step and i.item is not null and i.iteration is null and i.undoes is null and i.status = 'waiting'
        order by i.item limit 1) as "waitingItem"
    from kos.steps s where run_id = ${runId} and path = ${path} for update`;
  if (found?.status !== 'running' && found?.status !== 'waiting')
    return conflict(
      'step_ended',
      `${path} of ${runId} has ${found?.status ?? 'ended'} already.`,
      `To run it again: kai run fork ${runId} --from '${parseStepPath(path).id}'`,
    );
  const { message, fix } = atWork(runId, path, { ...found, waitingItem: joins === true ? found.waitingItem : null });
  return conflict('step_at_work', message, fix);
}

function atWork(runId: string, path: string, { status, kind, waitingFor, waitingItem }: AtWork): { message: string; fix: string } {
  const stop = `To stop the run: kai run cancel ${runId}`;
  if (waitingItem !== null) {
    return {
      message: `The items of ${path} of ${runId} wait, each by itself.`,
      fix: `End them one by one: kai run skip ${runId} '${waitingItem}' --reason R. ${stop}`,
    };
  }
  if (kind === 'plan' && waitingFor?.ref !== null && waitingFor?.ref !== undefined) {
    const fix = `See what that does: kai run why ${waitingFor.ref}. To end it: kai run cancel ${waitingFor.ref}`;
    return { message: `${path} of ${runId} ends with the run ${waitingFor.ref} that it has started.`, fix };
  }
  if (status === 'waiting')
    return { message: `What ${path} of ${runId} waits for has come: it ends by itself.`, fix: `See what it does: kai run why ${runId}` };
  return { message: `${path} of ${runId} is running: it ends by itself.`, fix: `See what it does: kai run why ${runId}. ${stop}` };
}

const notUncertain = ({ runId, path }: StepChange, status: StepStatus | null): KosError =>
  conflict('step_not_uncertain', `${path} of ${runId} is ${status ?? 'not begun'}, not uncertain: there is nothing to resolve.`, `kai run get ${runId}`);

const tooLarge = (path: string, bytes: number): KosError =>
  new KosError({
    code: 'output_too_large',
    message: `The output for ${path} has ${bytes} bytes; at most ${stepOutputBytesAtMost} are allowed.`,
    fix: 'Make it smaller.',
    status: 422,
  });
