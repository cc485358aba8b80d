import type { KosEvent, ModelDelta } from '#schemas/event.ts';
import type { Colours } from '../output.ts';
import { columnsOf, cutToColumns, visibleText } from '../terminal-text.ts';

/** What the model calls of a run are saying, as it comes. */
export interface LiveText {
  take(delta: ModelDelta): void;
  /** The end of a step, or of its attempt, ends its text: it is in the output. */
  event(event: KosEvent): void;
  /** The call that spoke last; null: none is under way. */
  latest(): { stepPath: string; text: string } | null;
}

interface Speaking {
  call: number;
  /** Characters that have come. */
  length: number;
  tail: string;
}

/** More than a screen shows; all of it stands in the step's output. */
const tailCharacters = 4_000;

export function createLiveText(): LiveText {
  /** By step; the one that spoke last is the last. */
  const speaking = new Map<string, Speaking>();
  /** The attempt with which a step was over: what comes of it yet is late. */
  const over = new Map<string, number>();
  return {
    take({ data: { stepPath, attempt, call, from, text } }) {
      const known = speaking.get(stepPath);
      if ((known?.call ?? call) > call || attempt <= (over.get(stepPath) ?? 0)) return;
      const before = known === undefined || known.call < call || from < known.length ? { call, length: from, tail: '' } : known;
      // Something was missed: what went before is not shown as if this followed it.
      const gap = from > before.length ? '… ' : '';
      speaking.delete(stepPath);
      speaking.set(stepPath, { call, length: from + text.length, tail: `${before.tail}${gap}${text}`.slice(-tailCharacters) });
    },
    event({ type, data }) {
      const { stepPath, attempt } = data;
      if (!type.startsWith('step.') || typeof stepPath !== 'string') return;
      over.delete(stepPath);
      if (type === 'step.started') return;
      speaking.delete(stepPath);
      over.set(stepPath, typeof attempt === 'number' ? attempt : Number.POSITIVE_INFINITY);
    },
    latest() {
      const last = [...speaking].at(-1);
      return last === undefined ? null : { stepPath: last[0], text: last[1].tail };
    },
  };
}

/** The last lines of what is being said, under the name of who says it. Empty: nobody speaks. */
export function renderLiveText(live: LiveText, view: { colours: Colours; columns: number; rows: number }): string[] {
  const latest = live.latest();
  if (latest === null || latest.text.trim() === '') return [];
  const columns = Math.max(10, view.columns - 4);
  const lines = visibleText(latest.text.replaceAll('\t', '  '))
    .trimEnd()
    .split('\n')
    .flatMap((line) => wrap(line, columns))
    .slice(-view.rows);
  return [view.colours.dim(`  ${cutToColumns(latest.stepPath, columns)} says:`), ...lines.map((line) => `  ${view.colours.dim('│')} ${line}`)];
}

/** Breaks at words where that is possible. */
function wrap(line: string, columns: number): string[] {
  const lines: string[] = [];
  let current = '';
  for (const word of line.split(/(?<=\s)/u)) {
    if (current !== '' && columnsOf(current + word.trimEnd()) > columns) {
      lines.push(current.trimEnd());
      current = '';
    }
    current += word;
    while (columnsOf(current.trimEnd()) > columns) {
      const head = cutToColumns(current, columns + 1).slice(0, -1);
      lines.push(head);
      current = current.slice(head.length);
    }
  }
  return [...lines, current.trimEnd()];
}
