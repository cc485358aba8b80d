import type { Line } from './figures/figure.ts';

export function printTable(lines: readonly Line[]): void {
  for (const line of lines)
    console.log(`${line.met === null ? ' ' : line.met ? '✓' : '✗'} ${line.what}\n    ours ${line.ours} | floor ${line.floor} | reach ${line.reach}`);
}
