import { columnsOf, cutToColumns, visibleLine } from './terminal-text.ts';

export interface Cell {
  text: string;
  /** Applied after the widths are known. */
  paint?: (text: string) => string;
}

const gap = '  ';
/** A cell is never cut below this many columns. */
const narrowest = 12;

/**
 * A table for people: one line per row, columns aligned. On a terminal the widest columns are cut to its width; elsewhere (`width` null) nothing is,
 * so that `kai run list | grep …` sees whole values.
 */
export function renderTable(headings: string[], rows: (string | Cell)[][], options: { width: number | null; paintHeading?: (text: string) => string }): string {
  const cells = rows.map((row) =>
    row.map((cell): Cell => (typeof cell === 'string' ? { text: visibleLine(cell) } : { ...cell, text: visibleLine(cell.text) })),
  );
  const widths = headings.map((heading, column) => Math.max(columnsOf(heading), ...cells.map((row) => columnsOf(row[column]?.text ?? ''))));
  fitWidths(widths, options.width);
  const paintHeading = options.paintHeading ?? ((text: string) => text);
  const head = paintHeading(
    headings
      .map((heading, column) => pad(heading, widths[column] ?? 0))
      .join(gap)
      .trimEnd(),
  );
  const body = cells.map((row) =>
    row
      .map((cell, column) => {
        const text = cutToColumns(cell.text, widths[column] ?? 0);
        const last = column === row.length - 1;
        return (cell.paint ?? ((plain: string) => plain))(text) + (last ? '' : ' '.repeat(Math.max(0, (widths[column] ?? 0) - columnsOf(text))));
      })
      .join(gap)
      .trimEnd(),
  );
  return [head, ...body].join('\n');
}

/** Takes columns from the widest until the row fits. The first column is an id or a name: people copy it, so it is never cut. */
function fitWidths(widths: number[], width: number | null): void {
  if (width === null || widths.length < 2) return;
  const total = (): number => widths.reduce((sum, columns) => sum + columns, 0) + gap.length * (widths.length - 1);
  while (total() > width) {
    const widest = widths.reduce((best, columns, index) => (index > 1 && columns > (widths[best] ?? 0) ? index : best), 1);
    const columns = widths[widest] ?? 0;
    if (columns <= narrowest) return;
    widths[widest] = columns - 1;
  }
}

const pad = (text: string, columns: number): string => text + ' '.repeat(Math.max(0, columns - columnsOf(text)));
