import { escapePointer } from '#core/expression/template.ts';
import type { Json } from '#schemas/json.ts';

/** Pointer of the first text, key or value, that cannot be kept: with a NUL character, or half of a surrogate pair. Null: there is none. */
export function firstUnkeepableText(value: Json, pointer = ''): string | null {
  if (typeof value === 'string') return isKeepable(value) ? null : pointer;
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, member] of Object.entries(value)) {
    const inner = `${pointer}/${escapePointer(key)}`;
    const found = isKeepable(key) ? firstUnkeepableText(member, inner) : inner;
    if (found !== null) return found;
  }
  return null;
}

/** Postgres cannot search a text with NUL in it, and RFC 8785 has no form for half a character. */
const isKeepable = (text: string): boolean => !text.includes('\u0000') && text.isWellFormed();
