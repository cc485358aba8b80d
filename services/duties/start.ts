import { statfs } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { ArtifactStore } from '#services/artifacts/store.ts';
import type { Database, SystemDatabase } from '#services/database/connect.ts';
import type { BulkDependencies } from '#services/jobs/act.ts';
import type { AcceptDependencies } from '#services/runs/accept.ts';
import type { RunWorkflows } from '#services/temporal/run-workflows.ts';
import { startJobs } from './jobs.ts';
import { startOutbox } from './outbox.ts';
import { startOutgoing } from './outgoing.ts';
import { startOverlookedWaits } from './overlooked-waits.ts';
import { startPruning } from './pruning.ts';
import { type QueueOrderWatch, watchQueueOrder } from './queue-order.ts';
import { startReconciler } from './reconciler.ts';
import { startScheduleSync, startScheduleWatch } from './schedules.ts';

export interface Duties {
  /** Something was written to the outbox: look there now. */
  nudgeOutbox(): void;
  queueOrder: Pick<QueueOrderWatch, 'seen' | 'usualBound'>;
  stop(): Promise<void>;
}

export interface DutyDependencies {
  database: Database;
  system: SystemDatabase;
  workflows: RunWorkflows;
  /** What runs are accepted with that a failure starts. */
  accepting: AcceptDependencies;
  /** What is done to many runs at once needs the same as what is done to one. */
  bulk: Omit<BulkDependencies, 'database'>;
  artifacts: ArtifactStore;
  home: string;
  /** Where people and programs reach this installation. */
  publicUrl: string;
  log: Logger;
  now: () => number;
}

/** What keeps Postgres and Temporal in step. Several processes may run it: rows are leased, and locks make one reconciler of many. */
export function startDuties(dependencies: DutyDependencies): Duties {
  const freeBytes = async (): Promise<number> => {
    const { bavail, bsize } = await statfs(dependencies.home);
    return bavail * bsize;
  };
  const queueOrder = watchQueueOrder(dependencies);
  const outbox = startOutbox({ ...dependencies, freeBytes, usualBound: queueOrder.usualBound });
  const jobs = startJobs({ ...dependencies, ...dependencies.bulk, nudgeOutbox: () => outbox.nudge() });
  const { system, log, workflows, publicUrl } = dependencies;
  const schedules = startScheduleSync({ system, log, door: workflows.schedules });
  const watch = startScheduleWatch({ system, log, door: workflows.schedules });
  const outgoing = startOutgoing({ system, log, publicUrl, door: workflows.outgoing, now: dependencies.now });
  const duties = [
    queueOrder,
    outbox,
    jobs,
    schedules,
    watch,
    outgoing,
    startReconciler(dependencies),
    startOverlookedWaits(dependencies),
    startPruning(dependencies),
  ];
  return {
    queueOrder,
    nudgeOutbox: () => {
      outbox.nudge();
      schedules.nudge();
      outgoing.nudge();
    },
    stop: async () => {
      await Promise.all(duties.map((duty) => duty.stop()));
    },
  };
}
