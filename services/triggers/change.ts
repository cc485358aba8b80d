import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import { readMapping } from '#core/trigger/mapping.ts';
import { asJsonObject } from '#schemas/json.ts';
import type { CreateTrigger, RotateTrigger, SetTrigger } from '#schemas/trigger.ts';
import type { Transaction } from '#services/database/connect.ts';
import { actingGrant, assertMayHandOn, assertUnchanged, nameTaken } from '#services/delegation/acting.ts';
import { newId } from '#services/ids.ts';
import { recordAudit } from '#services/records/record.ts';
import { findPlan } from '#services/runs/accept.ts';
import type { Sealing } from '#services/sealing/sealing.ts';
import { lockTrigger } from './row.ts';
import { chooseSecret, invalidTrigger, sealFor } from './secret.ts';

/** Throws KosError `trigger_invalid` (422), `plan_not_found`, `permission_missing` (403). */
async function assertFits({ sql }: Transaction, principal: Principal, definition: SetTrigger): Promise<string> {
  assertMayHandOn(principal, 'trigger');
  const { faults } = readMapping(definition);
  if (definition.scheme !== 'standard' && definition.publicKeys.length > 0)
    faults.push({ pointer: '/publicKeys', message: 'only senders of Standard Webhooks have public keys' });
  if (faults.length > 0) throw invalidTrigger(faults);
  return (await findPlan(sql, definition.plan)).name;
}

/** `secret`: one that was made here, to be shown once. Throws KosError `trigger_exists` (409), and what a definition that does not fit throws. */
export async function createTrigger(
  transaction: Transaction,
  sealing: Sealing,
  principal: Principal,
  { name, secret: given, enabled, ...definition }: CreateTrigger,
): Promise<{ id: string; secret: string | null }> {
  const planName = await assertFits(transaction, principal, definition);
  const { secret, made } = chooseSecret(definition, given);
  const { sql } = transaction;
  const { workspaceId, principalId: actor } = principal;
  const id = newId('trigger');
  const [row] = await sql`
    insert into kos.triggers (id, workspace_id, name, plan_name, definition, enabled, secret, created_by, granted)
    values (${id}, ${workspaceId}, ${name}, ${planName}, ${sql.json(asJsonObject(definition))}, ${enabled}, ${secret === null ? null : sealFor(sealing, id, 'secret', secret)}, ${actor},
      ${sql.json([...actingGrant])})
    on conflict (workspace_id, name) do nothing returning id`;
  if (row === undefined) throw nameTaken('trigger', name);
  await recordAudit(sql, [
    { workspaceId, actor, action: 'trigger.create', subject: id, data: { name, plan: definition.plan, scheme: definition.scheme, enabled } },
  ]);
  return { id, secret: made ? secret : null };
}

export interface TriggerVersion {
  id: string;
  version: number;
}

/** The definition anew; its secret stays. From now on it acts for whoever set it. Throws KosError `trigger_not_found`, `trigger_changed` (412), `trigger_scheme` (409). */
export async function setTrigger(transaction: Transaction, principal: Principal, { id, version }: TriggerVersion, definition: SetTrigger): Promise<void> {
  const { sql } = transaction;
  const { workspaceId, principalId: actor } = principal;
  const before = await lockTrigger(sql, id);
  assertUnchanged('trigger', before, version);
  if (before.definition.scheme !== definition.scheme || (before.secret === null && definition.publicKeys.length === 0))
    throw new KosError({
      code: 'trigger_scheme',
      message: `The trigger "${before.name}" knows its sender by ${before.secret === null ? 'public keys' : before.definition.scheme}, and its secret belongs to that.`,
      fix: 'Make a new trigger for another sender.',
      status: 409,
    });
  const planName = await assertFits(transaction, principal, definition);
  await sql`
    update kos.triggers set definition = ${sql.json(asJsonObject(definition))}, plan_name = ${planName}, created_by = ${actor}, version = version + 1, updated_at = clock_timestamp()
    where id = ${id}`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'trigger.set', subject: id, data: { name: before.name, plan: definition.plan } }]);
}

/** Its runs stay; deliveries are refused from now on. Throws KosError `trigger_not_found`, `trigger_changed` (412). */
export async function removeTrigger({ sql }: Transaction, { workspaceId, principalId: actor }: Principal, { id, version }: TriggerVersion): Promise<void> {
  const before = await lockTrigger(sql, id);
  assertUnchanged('trigger', before, version);
  await sql`delete from kos.trigger_deliveries where trigger_id = ${id}`;
  await sql`delete from kos.triggers where id = ${id}`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'trigger.remove', subject: id, data: { name: before.name } }]);
}

/** `actor`: `kos` where it disables itself. Throws KosError `trigger_not_found`. */
export async function enableTrigger(
  { sql }: Pick<Transaction, 'sql'>,
  { workspaceId, actor, id, enabled, note }: { workspaceId: string; actor: string; id: string; enabled: boolean; note: string | null },
): Promise<void> {
  const { name } = await lockTrigger(sql, id);
  await sql`update kos.triggers set enabled = ${enabled}, note = ${note}, version = version + 1, updated_at = clock_timestamp() where id = ${id}`;
  await recordAudit(sql, [{ workspaceId, actor, action: enabled ? 'trigger.enable' : 'trigger.disable', subject: id, data: { name, note } }]);
}

/** Another secret; the one before stays good for a while, so that the sender can be told in between. Throws KosError `trigger_not_found`, `trigger_no_secret` (409). */
export async function rotateTrigger(
  { sql }: Transaction,
  sealing: Sealing,
  { workspaceId, principalId: actor }: Principal,
  { id, secret: given, keepPreviousMs }: RotateTrigger & { id: string },
): Promise<string | null> {
  const before = await lockTrigger(sql, id);
  if (before.secret === null)
    throw new KosError({
      code: 'trigger_no_secret',
      message: `The trigger "${before.name}" knows its sender by public keys: there is no secret to rotate.`,
      fix: `Name the sender's new key beside the old one: kai trigger set ${before.name} --public-key …`,
      status: 409,
    });
  const { secret, made } = chooseSecret(before.definition, given);
  await sql`
    update kos.triggers set previous_secret = secret, previous_until = clock_timestamp() + make_interval(secs => ${keepPreviousMs / 1_000}),
      secret = ${secret === null ? null : sealFor(sealing, id, 'secret', secret)}, version = version + 1, updated_at = clock_timestamp()
    where id = ${id}`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'trigger.rotate', subject: id, data: { name: before.name, keepPreviousMs } }]);
  return made ? secret : null;
}
