import type { Approval } from '#schemas/approval.ts';
import type { RunStatus, StepStatus } from '#schemas/run.ts';
import type { Colours } from './output.ts';
import { visibleLine } from './terminal-text.ts';

type Paint = (text: string) => string;

/** Colour repeats what the word says, never says it alone. */
export function paintOfStatus(status: RunStatus | StepStatus | Approval['status'], colours: Colours): Paint {
  switch (status) {
    case 'succeeded':
    case 'approved':
      return colours.green;
    case 'failed':
    case 'terminated':
    case 'uncertain':
    case 'denied':
    case 'expired':
      return colours.red;
    case 'waiting':
    case 'paused':
    case 'retrying':
    case 'open':
      return colours.yellow;
    case 'running':
      return colours.cyan;
    case 'queued':
    case 'pending':
    case 'skipped':
    case 'cancelled':
    case 'compensated':
    case 'voided':
      return colours.dim;
  }
}

export function symbolOfStatus(status: StepStatus): string {
  switch (status) {
    case 'succeeded':
      return '✓';
    case 'failed':
      return '✗';
    case 'uncertain':
      return '!';
    case 'waiting':
      return '?';
    case 'retrying':
      return '↻';
    case 'running':
      return '●';
    case 'skipped':
      return '-';
    case 'cancelled':
      return '×';
    case 'compensated':
      return '↩';
    case 'pending':
      return '·';
  }
}

/** 0.004213 USD; null when nothing was spent. */
export function describeCost(costMicros: number, currency: string): string | null {
  return costMicros === 0 ? null : `${(costMicros / 1_000_000).toFixed(costMicros < 10_000 ? 6 : 2)} ${visibleLine(currency)}`;
}
