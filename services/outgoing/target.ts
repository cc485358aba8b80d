import { channelPost } from '#services/channels/request.ts';
import { channelColumns, type ChannelRow } from '#services/channels/row.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { Sealing } from '#services/sealing/sealing.ts';
import { signedPost } from '#services/webhooks/request.ts';
import { webhookColumns, type WebhookRow } from '#services/webhooks/row.ts';
import type { OutgoingMessage, Post } from './post.ts';
import { type ReceiverKind, receiverKindOf } from './receivers.ts';

/** Where a delivery goes. */
export interface Target {
  kind: ReceiverKind;
  id: string;
  name: string;
  enabled: boolean;
  note: string | null;
  post(sealing: Sealing, message: OutgoingMessage, at: Date): Post;
}

/** Null: it was removed. */
export async function findTarget(sql: TransactionSql, id: string): Promise<Target | null> {
  const kind = receiverKindOf(id);
  switch (kind) {
    case 'webhook': {
      const [row] = await sql<WebhookRow[]>`select ${webhookColumns(sql)} from kos.webhooks r where r.id = ${id}`;
      return row === undefined ? null : { ...placeOf(row), kind, post: (sealing, message, at) => signedPost(sealing, row, message, at) };
    }
    case 'channel': {
      const [row] = await sql<ChannelRow[]>`select ${channelColumns(sql)} from kos.channels r where r.id = ${id}`;
      return row === undefined ? null : { ...placeOf(row), kind, post: (sealing, message) => channelPost(sealing, row, message) };
    }
  }
}

const placeOf = ({ id, name, enabled, note }: WebhookRow | ChannelRow) => ({ id, name, enabled, note });
