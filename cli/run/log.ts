import type { LogLine } from '../client.ts';
import type { Invocation } from '../invocation.ts';
import type { Colours } from '../output.ts';
import { visibleLine } from '../terminal-text.ts';
import { clockTime } from '../times.ts';

const pageSize = 200;

/** `run logs`: everything that has happened up to now; under `--json` one value a line. */
export async function showLog({ client, output }: Invocation, runId: string): Promise<void> {
  let after: string | undefined;
  for (;;) {
    const page = await client.runs.logs(runId, { limit: pageSize, after });
    for (const line of page.items) {
      if (output.json) output.jsonLine(line);
      else output.data(describeLine(line, output.dataColours));
    }
    if (page.nextCursor === null) return;
    after = page.nextCursor;
  }
}

function describeLine({ at, level, text }: LogLine, colours: Colours): string {
  const paint = { info: (words: string) => words, warn: colours.yellow, error: colours.red }[level];
  return `${colours.dim(clockTime(at))} ${paint(visibleLine(text))}`;
}
