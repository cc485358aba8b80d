import type { FaultDetail } from '#core/errors.ts';
import type { Colours } from './output.ts';
import { cutToColumns, visibleLine } from './terminal-text.ts';

export interface PlanFile {
  /** `-` for standard input. */
  path: string;
  source: string;
  errors: FaultDetail[];
}

/** A line of a plan may be a whole document (JSON, a long prompt): so much of it is shown. */
const excerptColumns = 120;

/** `file:line:column: message`, as editors and terminals make links of it, with the line it is about and what was probably meant. */
export function describePlanFaults(file: PlanFile, colours: Colours): string {
  const name = file.path === '-' ? 'standard input' : file.path;
  const lines = file.source.split('\n');
  const blocks = file.errors.map((fault) => describeFault(name, lines, fault, colours));
  const count = file.errors.length === 1 ? '1 fault' : `${file.errors.length} faults`;
  return [...blocks, `${name}: ${colours.red(count)}`].join('\n');
}

function describeFault(name: string, lines: string[], fault: FaultDetail, colours: Colours): string {
  const where = fault.line === undefined ? name : `${name}:${fault.line}:${fault.column ?? 1}`;
  const place = fault.line === undefined && fault.pointer !== '' ? `${visibleLine(fault.pointer)}: ` : '';
  const shown = [`${colours.bold(where)}: ${place}${visibleLine(fault.message)}`];
  const line = fault.line === undefined ? undefined : lines[fault.line - 1];
  if (line !== undefined && fault.line !== undefined) shown.push(...describeExcerpt(line, fault.line, fault.column ?? 1, colours));
  if (fault.suggestion !== undefined) shown.push(`  ${colours.green('help:')} ${visibleLine(fault.suggestion)}`);
  return `${shown.join('\n')}\n`;
}

function describeExcerpt(line: string, number: number, column: number, colours: Colours): string[] {
  // Start a little before the column when the line is too long to be shown from its beginning.
  const start = column > excerptColumns - 20 ? column - 40 : 0;
  const before = visibleLine(line.slice(start, column - 1));
  const text = `${start > 0 ? '…' : ''}${before}${visibleLine(line.slice(column - 1))}`;
  const gutter = String(number).padStart(5);
  const caret = ' '.repeat((start > 0 ? 1 : 0) + before.length);
  return [`${colours.dim(`${gutter} |`)} ${cutToColumns(text, excerptColumns)}`, `${colours.dim(`${' '.repeat(5)} |`)} ${caret}${colours.red('^')}`];
}
