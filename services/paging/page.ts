import { KosError } from '#core/errors.ts';

/** One page of a list; `nextCursor` null: there is no more. */
export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

/** Opaque to clients: the sort key of the last row, as URL-safe base64 of JSON. */
export const encodeCursor = (key: readonly (string | number)[]): string => Buffer.from(JSON.stringify(key)).toString('base64url');

/** Reads a cursor of that many parts; throws KosError `cursor_invalid`. */
export function decodeCursor(cursor: string, kinds: readonly ('string' | 'number')[]): (string | number)[] {
  const parts = parseParts(cursor);
  if (parts === null || parts.length !== kinds.length || parts.some((part, index) => typeof part !== kinds[index])) throw cursorInvalid();
  return parts as (string | number)[];
}

const cursorInvalid = (): KosError =>
  new KosError({ code: 'cursor_invalid', message: 'The cursor is not one that this list gave.', fix: 'Start again without a cursor.', status: 400 });

function parseParts(cursor: string): unknown[] | null {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    return Array.isArray(parts) ? parts : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/**
 * For lists that ask for one row more than a page holds: cuts it off and makes the cursor from the last row that stays. `found` is how many rows
 * there were where fewer came, because they are large.
 */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  show: (row: Row) => Item,
  key: (row: Row) => (string | number)[],
  found: number = rows.length,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { items: shown.map(show), nextCursor: found > shown.length && last !== undefined ? encodeCursor(key(last)) : null };
}

/** What users wrote may be megabytes: a page ends early when its rows hold more than this, as Postgres keeps them (compressed). */
export const pageBytes = 1_000_000;

/** Added to rows that a page of limited size is cut from. */
export interface Sized {
  /** Rows that the page would have had. */
  found: number;
}

/** The sort key of lists with the newest first: instant and id. Instants are kept to the millisecond, so the cursor is exact. */
export interface NewestFirst {
  createdAt: Date;
  id: string;
}

export const newestFirstKey = (row: NewestFirst): [string, string] => [row.createdAt.toISOString(), row.id];

export function decodeNewestFirst(cursor: string): NewestFirst {
  const [instant, id] = decodeCursor(cursor, ['string', 'string']) as [string, string];
  const createdAt = new Date(instant);
  if (Number.isNaN(createdAt.getTime())) throw cursorInvalid();
  return { createdAt, id };
}
