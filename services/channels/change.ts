import type { Principal } from '#core/policy/principal.ts';
import { asJsonObject } from '#schemas/json.ts';
import type { ChannelDefinition, CreateChannel, SetChannel } from '#schemas/channel.ts';
import type { Transaction } from '#services/database/connect.ts';
import { assertMayHandOn, assertUnchanged, nameTaken, tellingGrant } from '#services/delegation/acting.ts';
import { newId } from '#services/ids.ts';
import { fromNow, lockReceiver, type ReceiverVersion } from '#services/outgoing/receivers.ts';
import { sealFor } from '#services/outgoing/seal.ts';
import { recordAudit } from '#services/records/record.ts';
import type { Sealing } from '#services/sealing/sealing.ts';

const hostOf = (url: string): string => new URL(url).host;

/** Returns its id. Throws KosError `channel_exists` (409), `permission_missing` (403). */
export async function createChannel({ sql }: Transaction, sealing: Sealing, principal: Principal, wanted: CreateChannel): Promise<string> {
  assertMayHandOn(principal, 'channel');
  const { name, enabled, url, ...definition } = wanted;
  const { workspaceId, principalId: actor } = principal;
  const id = newId('channel');
  const [row] = await sql`
    insert into kos.channels (id, workspace_id, seen_seq, name, enabled, definition, url, host, granted, created_by)
    select ${id}, ${workspaceId}, ${fromNow(sql, workspaceId)}, ${name}, ${enabled}, ${sql.json(asJsonObject(definition))}, ${sealFor(sealing, id, url)}, ${hostOf(url)},
      ${sql.json([...tellingGrant])}, ${actor}
    on conflict (workspace_id, name) do nothing returning id`;
  if (row === undefined) throw nameTaken('channel', name);
  await recordAudit(sql, [{ workspaceId, actor, action: 'channel.create', subject: id, data: { name, enabled, ...factsOf(definition, hostOf(url)) } }]);
  return id;
}

/** The definition anew; from now on it acts for whoever set it. Throws KosError `channel_not_found`, `channel_changed` (412). */
export async function setChannel(
  { sql }: Transaction,
  sealing: Sealing,
  principal: Principal,
  { id, version }: ReceiverVersion,
  wanted: SetChannel,
): Promise<void> {
  assertMayHandOn(principal, 'channel');
  const before = await lockReceiver(sql, 'channel', id);
  assertUnchanged('channel', before, version);
  const { url, ...definition } = wanted;
  const { workspaceId, principalId: actor } = principal;
  const address = url === undefined ? sql`` : sql`url = ${sealFor(sealing, id, url)}, host = ${hostOf(url)},`;
  await sql`
    update kos.channels set ${address} definition = ${sql.json(asJsonObject(definition))}, created_by = ${actor}, version = version + 1, updated_at = clock_timestamp()
    where id = ${id}`;
  const data = { name: before.name, ...factsOf(definition, url === undefined ? null : hostOf(url)) };
  await recordAudit(sql, [{ workspaceId, actor, action: 'channel.set', subject: id, data }]);
}

/** `host`: of a new address. */
const factsOf = ({ kind, topics, plan }: ChannelDefinition, host: string | null) => ({ kind, topics, plan, ...(host === null ? {} : { host }) });
