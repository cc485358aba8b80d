import { type Command, InvalidArgumentError } from 'commander';
import type { Page } from './client.ts';
import { usageFault } from './faults.ts';
import type { Invocation } from './invocation.ts';
import { type Cell, renderTable } from './table.ts';

/** What every list command takes, and the server's bound on one page. */
const largestPage = 200;
const usualPage = 20;

export interface ListOptions {
  limit: number;
  cursor?: string;
}

export const addListOptions = (command: Command): Command =>
  command
    .option('-n, --limit <count>', `how many at most, 1 to ${largestPage}`, parseLimit, usualPage)
    .option('--cursor <cursor>', 'go on where an earlier list ended');

function parseLimit(text: string): number {
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 1 || limit > largestPage) throw new InvalidArgumentError(`It must be a whole number from 1 to ${largestPage}.`);
  return limit;
}

export function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/** `key=value` options as an object; a repeated key is a mistake, not a choice. */
export function readPairs(pairs: readonly string[], option: string): Record<string, string> {
  const result: Record<string, string> = {};
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at < 1) throw usageFault(`${option} ${pair}: write it as key=value.`);
    const key = pair.slice(0, at);
    if (Object.hasOwn(result, key)) throw usageFault(`${option} gives ${key} twice.`);
    result[key] = pair.slice(at + 1);
  }
  return result;
}

export interface ListView<Item> {
  headings: string[];
  row: (item: Item) => (string | Cell)[];
  /** Told to people when there is nothing: what it means and how to get one. */
  empty: string;
}

/** One page: `{ items, nextCursor }` for programs; for people a table, and on standard error how to see more. */
export function showPage<Item>({ output }: Invocation, page: Page<Item>, view: ListView<Item>): void {
  if (output.json) {
    output.document(page);
    return;
  }
  if (page.items.length === 0) {
    output.say(view.empty);
    return;
  }
  const width = output.terminal.data ? process.stdout.columns : null;
  output.data(renderTable(view.headings, page.items.map(view.row), { width, paintHeading: output.dataColours.dim }));
  if (page.nextCursor !== null) output.say(output.talkColours.dim(`There are more: repeat with --cursor ${page.nextCursor}`));
}
