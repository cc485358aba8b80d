import { z } from 'zod';
import type { KosEvent } from '#schemas/event.ts';
import { type EventScope, readEvents, resumeFrom } from '#services/events/reader.ts';
import type { ApiDependencies } from './dependencies.ts';
import { listOf, pageQuery } from './shapes.ts';

export const positionQuery = { after: z.string().max(100).optional(), limit: pageQuery.limit };

/** A page in the sequencer's order; `reset`: the position that was asked for is not kept, and the page starts over. */
export const recordOf = <Item extends z.ZodType>(item: Item) => listOf(item).extend({ reset: z.boolean() });

/** JSON is for those who ask for it, or for nothing in particular; browsers' EventSource asks for the stream. */
export const wantsStream = (accept: string | undefined): boolean => (accept ?? '').includes('text/event-stream');

export interface EventPage {
  items: KosEvent[];
  nextCursor: string | null;
  reset: boolean;
}

export async function readPage(dependencies: ApiDependencies, scope: EventScope, after: string | null, limit: number): Promise<EventPage> {
  const start = await resumeFrom(dependencies.database, dependencies.system, scope, after);
  const events = await readEvents(dependencies.database, scope, start.epoch, start.afterSeq, limit + 1);
  const items = events.slice(0, limit);
  return { items, nextCursor: events.length > limit ? (items.at(-1)?.position ?? null) : null, reset: start.reset !== null };
}
