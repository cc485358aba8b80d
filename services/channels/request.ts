import type { OutgoingMessage, Post } from '#services/outgoing/post.ts';
import { openFor } from '#services/outgoing/seal.ts';
import type { Sealing } from '#services/sealing/sealing.ts';
import type { Hidden } from '#services/secrets/scrub.ts';
import type { ChannelRow } from './row.ts';

/** Shorter parts of an address are words such as `services`, or nothing that anybody could use. */
const secretFrom = 8;

/** A message, which has the form of its service already. */
export function channelPost(sealing: Sealing, { id, url: sealed }: ChannelRow, message: OutgoingMessage): Post {
  const url = openFor(sealing, id, sealed);
  return { url, body: message.body, headers: { 'content-type': 'application/json', 'webhook-id': message.id }, hidden: partsOf(new URL(url)) };
}

/** Whoever knows the address may write to the channel: a receiver that repeats it must not bring it on record. */
const partsOf = ({ pathname, search, searchParams }: URL): Hidden[] =>
  [`${pathname}${search}`, pathname, ...pathname.split('/'), ...searchParams.values()]
    .filter((part) => part.length >= secretFrom)
    .map((value) => ({ value, shown: '…' }));
