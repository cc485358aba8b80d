import type { Logger } from 'pino';
import { boundWithoutFairness, type UsualBound } from '#services/runs/admission.ts';
import type { QueueOrder } from '#services/temporal/fairness-proof.ts';
import type { RunWorkflows } from '#services/temporal/run-workflows.ts';
import { type Duty, repeat } from './repeat.ts';

export interface QueueOrderWatch extends Duty {
  /** Null: not tried yet. */
  seen(): QueueOrder | null;
  /** What a workspace may have at work at once where it has set nothing: as long as nothing is proven, as if there were no fairness. */
  usualBound(): UsualBound;
}

const lookAgainMs = { well: 24 * 3_600_000, amiss: 10 * 60_000 };

/** Proves at the start of the process that Temporal shares out fairly, and looks again when it did not: its settings can be changed while it runs. */
export function watchQueueOrder({ workflows, log }: { workflows: RunWorkflows; log: Logger }): QueueOrderWatch {
  let seen: QueueOrder | null = null;
  const duty = repeat('queue order', log, async () => {
    const found = await workflows.proveQueueOrder();
    const isWell = found.fair && found.byPriority;
    if (isWell) log.info(found, 'queue order: Temporal serves workspaces in turn, and urgent runs first');
    else if (seen === null) log.warn(found, 'queue order: Temporal does not serve workspaces in turn and urgent runs first; see kai doctor');
    seen = found;
    return isWell ? lookAgainMs.well : lookAgainMs.amiss;
  });
  return { ...duty, seen: () => seen, usualBound: () => (seen?.fair === true ? null : boundWithoutFairness) };
}
