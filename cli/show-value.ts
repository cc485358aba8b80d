import type { Json } from '#schemas/json.ts';
import type { Output } from './output.ts';
import { visibleText } from './terminal-text.ts';

/** A value as data: text as it is (so that it can be redirected into a file), anything else as JSON. On a terminal control characters are made visible. */
export function showValue(output: Output, value: Json): void {
  if (output.json) {
    output.document(value);
    return;
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  output.data(output.terminal.data ? visibleText(text) : text);
}

/** `label   value` lines, aligned; absent values are left out. */
export function describeFields(fields: readonly (readonly [string, string | null | undefined])[]): string {
  const present = fields.filter((field): field is [string, string] => field[1] !== null && field[1] !== undefined && field[1] !== '');
  const width = Math.max(...present.map(([label]) => label.length));
  return present.map(([label, value]) => `${label.padEnd(width)}  ${value.replaceAll('\n', `\n${' '.repeat(width + 2)}`)}`).join('\n');
}
