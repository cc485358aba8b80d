import type { Channel, ChannelDefinition } from '#schemas/channel.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { deliveryCounts, receiverNotFound } from '#services/outgoing/receivers.ts';
import { decodeCursor, type Page, pageOf } from '#services/paging/page.ts';

export interface ChannelRow {
  id: string;
  workspaceId: string;
  name: string;
  definition: ChannelDefinition;
  /** Sealed. */
  url: Buffer;
  host: string;
  enabled: boolean;
  note: string | null;
  createdBy: string;
  granted: string[];
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

export const channelColumns = (sql: TransactionSql) => sql`
  r.id, r.workspace_id as "workspaceId", r.name, r.definition, r.url, r.host, r.enabled, r.note, r.created_by as "createdBy", r.granted, r.version,
  r.created_at as "createdAt", r.updated_at as "updatedAt"`;

type CountedRow = ChannelRow & Pick<Channel, 'pending' | 'failed'>;

const counted = ({ sql }: Transaction) => sql`select ${channelColumns(sql)}, ${deliveryCounts(sql)} from kos.channels r`;

const show = ({ definition, granted, url: _sealed, version: _version, workspaceId: _workspace, createdAt, updatedAt, ...row }: CountedRow): Channel => ({
  ...definition,
  ...row,
  grant: granted,
  createdAt: createdAt.toISOString(),
  updatedAt: updatedAt.toISOString(),
});

/** By name. */
export async function listChannels(transaction: Transaction, page: { cursor: string | null; limit: number; name: string | null }): Promise<Page<Channel>> {
  const { sql } = transaction;
  const [after] = page.cursor === null ? [null] : (decodeCursor(page.cursor, ['string']) as [string]);
  const isWanted = sql`${page.name === null ? sql`true` : sql`r.name = ${page.name}`} and ${after === null ? sql`true` : sql`r.name > ${after}`}`;
  const rows = await sql<CountedRow[]>`${counted(transaction)} where ${isWanted} order by r.name limit ${page.limit + 1}`;
  return pageOf(rows, page.limit, show, ({ name }) => [name]);
}

/** Throws KosError `channel_not_found`. */
export async function readChannel(transaction: Transaction, id: string): Promise<{ shown: Channel; version: number }> {
  const [row] = await transaction.sql<CountedRow[]>`${counted(transaction)} where r.id = ${id}`;
  if (row === undefined) throw receiverNotFound('channel', id);
  return { shown: show(row), version: row.version };
}
