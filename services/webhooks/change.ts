import { randomBytes } from 'node:crypto';
import type { Principal } from '#core/policy/principal.ts';
import { asJsonObject } from '#schemas/json.ts';
import type { CreateWebhook, SetWebhook } from '#schemas/webhook.ts';
import type { Transaction } from '#services/database/connect.ts';
import { assertMayHandOn, assertUnchanged, nameTaken, tellingGrant } from '#services/delegation/acting.ts';
import { newId } from '#services/ids.ts';
import { fromNow, lockReceiver, type ReceiverVersion } from '#services/outgoing/receivers.ts';
import { sealFor } from '#services/outgoing/seal.ts';
import { recordAudit } from '#services/records/record.ts';
import type { Sealing } from '#services/sealing/sealing.ts';

const makeSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

/** Where it sends, as the record of changes may hold it: queries may carry secrets. */
const placeOf = (url: string): string => {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
};

/** `secret`: to be shown once. Throws KosError `webhook_exists` (409), `permission_missing` (403). */
export async function createWebhook(
  { sql }: Transaction,
  sealing: Sealing,
  principal: Principal,
  { name, enabled, ...definition }: CreateWebhook,
): Promise<{ id: string; secret: string }> {
  assertMayHandOn(principal, 'webhook');
  const { workspaceId, principalId: actor } = principal;
  const id = newId('webhook');
  const secret = makeSecret();
  const [row] = await sql`
    insert into kos.webhooks (id, workspace_id, name, definition, enabled, secret, created_by, granted, seen_seq)
    values (${id}, ${workspaceId}, ${name}, ${sql.json(asJsonObject(definition))}, ${enabled}, ${sealFor(sealing, id, secret)}, ${actor}, ${sql.json([...tellingGrant])}, ${fromNow(sql, workspaceId)})
    on conflict (workspace_id, name) do nothing returning id`;
  if (row === undefined) throw nameTaken('webhook', name);
  const data = { name, to: placeOf(definition.url), events: definition.events, plan: definition.plan, enabled };
  await recordAudit(sql, [{ workspaceId, actor, action: 'webhook.create', subject: id, data }]);
  return { id, secret };
}

/** The definition anew; its secret stays, and what is on its way goes to the new address. From now on it acts for whoever set it. Throws KosError `webhook_not_found`, `webhook_changed` (412). */
export async function setWebhook({ sql }: Transaction, principal: Principal, { id, version }: ReceiverVersion, definition: SetWebhook): Promise<void> {
  assertMayHandOn(principal, 'webhook');
  const before = await lockReceiver(sql, 'webhook', id);
  assertUnchanged('webhook', before, version);
  const { workspaceId, principalId: actor } = principal;
  await sql`
    update kos.webhooks set definition = ${sql.json(asJsonObject(definition))}, created_by = ${actor}, version = version + 1, updated_at = clock_timestamp() where id = ${id}`;
  const data = { name: before.name, to: placeOf(definition.url), events: definition.events, plan: definition.plan };
  await recordAudit(sql, [{ workspaceId, actor, action: 'webhook.set', subject: id, data }]);
}

/** Another secret, to be shown once; the one before signs, too, for a while, so that the receiver can be told in between. Throws KosError `webhook_not_found`. */
export async function rotateWebhook(
  { sql }: Transaction,
  sealing: Sealing,
  { workspaceId, principalId: actor }: Principal,
  { id, keepPreviousMs }: { id: string; keepPreviousMs: number },
): Promise<string> {
  const { name } = await lockReceiver(sql, 'webhook', id);
  const secret = makeSecret();
  await sql`
    update kos.webhooks set previous_secret = secret, previous_until = clock_timestamp() + make_interval(secs => ${keepPreviousMs / 1_000}),
      secret = ${sealFor(sealing, id, secret)}, version = version + 1, updated_at = clock_timestamp()
    where id = ${id}`;
  await recordAudit(sql, [{ workspaceId, actor, action: 'webhook.rotate', subject: id, data: { name, keepPreviousMs } }]);
  return secret;
}
