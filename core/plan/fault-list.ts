import type { FaultDetail } from '#core/errors.ts';
import type { TemplateFault } from '#core/expression/faults.ts';
import type { Locator } from './source.ts';

/** More faults than these help nobody, and a hostile plan must not make a large answer. */
export const mostFaults = 100;

/** As one reads the text, not as it was checked. What has no position stays where it is among its like, at the end. */
export function inTextOrder(faults: readonly FaultDetail[]): FaultDetail[] {
  return faults.toSorted((a, b) => lineOf(a) - lineOf(b) || (a.column ?? 0) - (b.column ?? 0));
}

const lineOf = ({ line }: FaultDetail): number => line ?? Number.MAX_SAFE_INTEGER;

/** Collects faults and gives each its position in the plan's text. */
export class FaultList {
  readonly faults: FaultDetail[] = [];
  readonly #locate: Locator | undefined;

  constructor(locate: Locator | undefined) {
    this.#locate = locate;
  }

  get full(): boolean {
    return this.faults.length >= mostFaults;
  }

  /** `word`: a piece of the text at `pointer` that the fault is about. */
  add(pointer: string, message: string, options: { suggestion?: string | undefined; part?: 'key' | 'value'; word?: string | undefined } = {}): void {
    if (this.full) return;
    const suggestion = options.suggestion === undefined ? {} : { suggestion: options.suggestion };
    const inside = options.word === undefined ? undefined : { source: options.word, offset: 0, start: 0 };
    this.faults.push({ pointer, message, ...suggestion, ...this.#locate?.(pointer, options.part ?? 'value', inside) });
  }

  /** A fault in a template whose root stands at `base` in the document. */
  addTemplateFault(base: string, fault: TemplateFault): void {
    if (this.full) return;
    const pointer = `${base}${fault.pointer}`;
    const position = this.#locate?.(pointer, 'value', { source: fault.source, offset: fault.offset, start: fault.start });
    const message = fault.source === '' ? fault.message : `in \${${shorten(fault.source)}}: ${fault.message}`;
    this.faults.push({ pointer, message, ...(fault.suggestion === undefined ? {} : { suggestion: fault.suggestion }), ...position });
  }
}

function shorten(source: string): string {
  return source.length <= 120 ? source : `${source.slice(0, 117)}…`;
}
