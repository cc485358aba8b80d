import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import { idPrefixes } from '#schemas/ids.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { assertUnchanged } from '#services/delegation/acting.ts';
import { recordAudit } from '#services/records/record.ts';

/** Who is told of what happens: programs, and people. */
export type ReceiverKind = 'webhook' | 'channel';

export const receiverTables = { webhook: 'webhooks', channel: 'channels' } as const satisfies Record<ReceiverKind, string>;

/** Ids name their kind. */
export const receiverKindOf = (targetId: string): ReceiverKind => (targetId.startsWith(`${idPrefixes.channel}_`) ? 'channel' : 'webhook');

export const receiverNotFound = (kind: ReceiverKind, id: string): KosError =>
  new KosError({ code: `${kind}_not_found`, message: `There is no ${kind} ${id} in this workspace.`, fix: `kai ${kind} list`, status: 404 });

/** What has its number by now is not sent. */
export const fromNow = (sql: TransactionSql, workspaceId: string) =>
  sql`coalesce((select seq from kos.events where workspace_id = ${workspaceId} and seq is not null order by seq desc limit 1), 0)`;

export interface ReceiverVersion {
  id: string;
  version: number;
}

interface LockedReceiver {
  name: string;
  version: number;
  enabled: boolean;
}

/** Its row until the end of the transaction. Throws KosError `webhook_not_found`, `channel_not_found`. */
export async function lockReceiver(sql: TransactionSql, kind: ReceiverKind, id: string): Promise<LockedReceiver> {
  const [row] = await sql<LockedReceiver[]>`select name, version, enabled from kos.${sql(receiverTables[kind])} where id = ${id} for update`;
  if (row === undefined) throw receiverNotFound(kind, id);
  return row;
}

/** With its deliveries; what is on its way is not sent. Throws KosError `webhook_not_found`, `webhook_changed` (412); the same of a channel. */
export async function removeReceiver(
  { sql }: Transaction,
  kind: ReceiverKind,
  { workspaceId, principalId: actor }: Principal,
  { id, version }: ReceiverVersion,
): Promise<void> {
  const before = await lockReceiver(sql, kind, id);
  assertUnchanged(kind, before, version);
  await sql`delete from kos.outgoing_deliveries where target_id = ${id}`;
  if (kind === 'channel') await sql`delete from kos.channel_failures where channel_id = ${id}`;
  await sql`delete from kos.${sql(receiverTables[kind])} where id = ${id}`;
  await recordAudit(sql, [{ workspaceId, actor, action: `${kind}.remove`, subject: id, data: { name: before.name } }]);
}

/** `actor`: `kos` where it disables itself. What happens while it is disabled is not sent later. Throws KosError `webhook_not_found`, `channel_not_found`. */
export async function enableReceiver(
  { sql }: Pick<Transaction, 'sql'>,
  {
    kind,
    workspaceId,
    actor,
    id,
    enabled,
    note,
  }: { kind: ReceiverKind; workspaceId: string; actor: string; id: string; enabled: boolean; note: string | null },
): Promise<void> {
  const before = await lockReceiver(sql, kind, id);
  const resumes = enabled && !before.enabled;
  await sql`
    update kos.${sql(receiverTables[kind])} set enabled = ${enabled}, note = ${note}, version = version + 1, updated_at = clock_timestamp(),
      seen_seq = ${resumes ? fromNow(sql, workspaceId) : sql`seen_seq`}
    where id = ${id}`;
  await recordAudit(sql, [{ workspaceId, actor, action: `${kind}.${enabled ? 'enable' : 'disable'}`, subject: id, data: { name: before.name, note } }]);
}

/** For the columns `pending` and `failed` of what is shown of `r`. */
export const deliveryCounts = (sql: TransactionSql) => sql`
  (select count(*)::int from kos.outgoing_deliveries d where d.target_id = r.id and d.status = 'pending') as pending,
  (select count(*)::int from kos.outgoing_deliveries d where d.target_id = r.id and d.status = 'failed') as failed`;
