import type { ShownHistoryEvent } from '#schemas/history.ts';
import type { Invocation } from '../invocation.ts';
import type { Colours } from '../output.ts';
import { visibleLine } from '../terminal-text.ts';
import { clockTime } from '../times.ts';

export interface HistoryOptions {
  type?: string;
  step?: string;
}

const pageSize = 200;

/** `run history`: page by page to the oldest event; under `--json` one event a line. */
export async function showHistory({ client, output }: Invocation, runId: string, filter: HistoryOptions): Promise<void> {
  let cursor: string | undefined;
  for (;;) {
    const page = await client.runs.history(runId, { ...filter, limit: pageSize, cursor });
    if (page.state !== 'kept') output.say(page.text);
    for (const event of page.items) {
      if (output.json) output.jsonLine(event);
      else output.data(describeEvent(event, output.dataColours));
    }
    if (page.nextCursor === null) return;
    cursor = page.nextCursor;
  }
}

function describeEvent({ id, at, type, steps }: ShownHistoryEvent, colours: Colours): string {
  const name = type.replace('EVENT_TYPE_', '').toLowerCase().replaceAll('_', ' ');
  const paint = /FAILED|TIMED_OUT|TERMINATED/.test(type) ? colours.red : (words: string) => words;
  return [colours.dim(`${clockTime(at)} ${String(id).padStart(5)}`), paint(name), visibleLine(steps.join(', '))].filter((part) => part !== '').join('  ');
}
