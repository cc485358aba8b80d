import type { OutgoingMessage, Post } from '#services/outgoing/post.ts';
import { openFor } from '#services/outgoing/seal.ts';
import type { Sealing } from '#services/sealing/sealing.ts';
import type { ChannelRow } from './row.ts';

/** A message, which has the form of its service already. */
export const channelPost = (sealing: Sealing, { id, url }: ChannelRow, message: OutgoingMessage): Post => ({
  url: openFor(sealing, id, url),
  body: message.body,
  headers: { 'content-type': 'application/json', 'webhook-id': message.id },
});
