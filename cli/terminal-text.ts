import { stripVTControlCharacters } from 'node:util';

/**
 * Texts that plans, models and logs wrote are shown with every control character made visible: an escape sequence in them could rewrite what the
 * reader sees, an approval's arguments above all. Bidirectional and zero-width marks likewise (they reorder or hide what is beside them).
 */
// biome-ignore format: one class per line
const dangerous = new RegExp([
  '[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]', // C0 without tab and newline, DEL, C1
  '[\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u2069\\ufeff]', // zero width, bidirectional
  '[\\u{e0000}-\\u{e007f}]', // tags: invisible text
].join('|'), 'gu');

export function visibleText(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(dangerous, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** One line, whatever was in it; for table cells and lists. */
export const visibleLine = (text: string): string =>
  visibleText(text)
    .replace(/\s*\n\s*/g, ' ⏎ ')
    .replaceAll('\t', ' ');

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
/** East Asian wide and emoji take two columns; close enough for tables, no dependency. */
const wide = /^[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|^\p{Emoji_Presentation}/u;

/** Columns that a text takes on a terminal; colour codes take none. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const { segment } of graphemes.segment(stripVTControlCharacters(text))) {
    columns += wide.test(segment) ? 2 : 1;
  }
  return columns;
}

/** Cuts an uncoloured text to a number of columns, with an ellipsis in the last. */
export function cutToColumns(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  let kept = '';
  let used = 0;
  for (const { segment } of graphemes.segment(text)) {
    used += wide.test(segment) ? 2 : 1;
    if (used > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}
