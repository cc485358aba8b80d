import type { Principal } from '#core/policy/principal.ts';
import { checkSpec } from '#core/schedule/spec.ts';
import { asJsonObject } from '#schemas/json.ts';
import type { CreateSchedule, SetSchedule } from '#schemas/schedule.ts';
import type { Transaction } from '#services/database/connect.ts';
import { actingGrant, assertMayHandOn, assertUnchanged, nameTaken } from '#services/delegation/acting.ts';
import { newId } from '#services/ids.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { type AcceptDependencies, checkedInput, findPlan } from '#services/runs/accept.ts';
import { changed, lockSchedule } from './row.ts';

type Checks = Pick<AcceptDependencies, 'validateInput'>;

/** Throws KosError `schedule_invalid`, `plan_not_found`, `input_invalid` (422), `permission_missing` (403). */
async function assertFits(checks: Checks, { sql }: Transaction, principal: Principal, definition: SetSchedule): Promise<string> {
  assertMayHandOn(principal, 'schedule');
  checkSpec(definition.spec);
  const plan = await findPlan(sql, definition.plan);
  await checkedInput(checks, plan, definition.input);
  return plan.name;
}

/** Throws KosError `schedule_exists` (409), and what a definition that does not fit throws. */
export async function createSchedule(
  checks: Checks,
  transaction: Transaction,
  principal: Principal,
  { name, paused, note, ...definition }: CreateSchedule,
): Promise<string> {
  const planName = await assertFits(checks, transaction, principal, definition);
  const { sql } = transaction;
  const { workspaceId, principalId: actor } = principal;
  const id = newId('schedule');
  const [made] = await sql`
    insert into kos.schedules (id, workspace_id, name, plan_name, definition, paused, note, runs_left, created_by, granted)
    values (${id}, ${workspaceId}, ${name}, ${planName}, ${sql.json(asJsonObject(definition))}, ${paused}, ${note ?? null}, ${definition.runsAtMost}, ${actor}, ${sql.json([...actingGrant])})
    on conflict (workspace_id, name) where deleted_at is null do nothing returning id`;
  if (made === undefined) throw nameTaken('schedule', name);
  await recordAudit(sql, [
    { workspaceId, actor, action: 'schedule.create', subject: id, data: { name, paused, plan: definition.plan, spec: asJsonObject(definition.spec) } },
  ]);
  return id;
}

/**
 * The definition anew. From now on it acts for whoever set it. Its count of runs begins again where `runsAtMost` is another one. Throws KosError `schedule_not_found`,
 * `schedule_changed` (412), and what a definition that does not fit throws.
 */
export async function setSchedule(
  checks: Checks,
  transaction: Transaction,
  principal: Principal,
  { id, version, definition }: { id: string; version: number; definition: SetSchedule },
): Promise<void> {
  const { sql } = transaction;
  const { workspaceId, principalId: actor } = principal;
  const before = await lockSchedule(sql, id);
  assertUnchanged('schedule', before, version);
  const planName = await assertFits(checks, transaction, principal, definition);
  const runsLeft = definition.runsAtMost === before.definition.runsAtMost ? before.runsLeft : definition.runsAtMost;
  await sql`
    update kos.schedules set definition = ${sql.json(asJsonObject(definition))}, plan_name = ${planName}, runs_left = ${runsLeft}, created_by = ${actor}, ${changed(sql)} where id = ${id}`;
  await recordAudit(sql, [
    { workspaceId, actor, action: 'schedule.set', subject: id, data: { name: before.name, plan: definition.plan, spec: asJsonObject(definition.spec) } },
  ]);
}

/** Its runs stay; no more are started. Throws KosError `schedule_not_found`, `schedule_changed` (412). */
export async function removeSchedule(
  { sql }: Transaction,
  { workspaceId, principalId: actor }: Principal,
  { id, version }: { id: string; version: number },
): Promise<void> {
  const before = await lockSchedule(sql, id);
  assertUnchanged('schedule', before, version);
  await sql`update kos.schedules set deleted_at = clock_timestamp(), ${changed(sql)} where id = ${id}`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'schedule.remove', subject: id, data: { name: before.name } }]);
}

export interface Pausing {
  workspaceId: string;
  /** `kos` where it pauses by itself. */
  actor: string;
  id: string;
  note: string | null;
}

/** Nothing is started by the clock until it is resumed; what was due meanwhile is not made up for. Throws KosError `schedule_not_found`. */
export async function pauseSchedule({ sql }: Pick<Transaction, 'sql'>, { workspaceId, actor, id, note }: Pausing): Promise<void> {
  const { name, paused } = await lockSchedule(sql, id);
  await sql`update kos.schedules set paused = true, note = ${note}, ${changed(sql)} where id = ${id}`;
  if (!paused) await recordEvents(sql, [{ workspaceId, runId: null, type: 'schedule.paused', data: { scheduleId: id, name, by: actor, note } }]);
  await recordAudit(sql, [{ workspaceId, actor, action: 'schedule.pause', subject: id, data: { name, note } }]);
}

/** Throws KosError `schedule_not_found`. */
export async function resumeSchedule({ sql }: Transaction, { workspaceId, actor, id, note }: Pausing): Promise<void> {
  const { name } = await lockSchedule(sql, id);
  await sql`update kos.schedules set paused = false, note = ${note}, ${changed(sql)} where id = ${id}`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'schedule.resume', subject: id, data: { name, note } }]);
}
