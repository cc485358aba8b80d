import { randomUUID } from 'node:crypto';
import type { Client, Connection } from '@temporalio/client';

/** What Temporal does with tasks that queue up, as it was seen to do. */
export interface QueueOrder {
  /** A workspace with few tasks is served between those of one with many. */
  fair: boolean;
  /** What is urgent goes ahead of what came before. */
  byPriority: boolean;
}

export interface ProofDependencies {
  client: Client;
  connection: Connection;
  namespace: string;
}

/** Who has put a task into the queue. */
type Owner = 'busy' | 'other' | 'urgent';

/** In this order. Of four partitions (the default elsewhere), each first come, first served, the last ones come late, too. */
const queued: readonly Owner[] = [...Array<Owner>(24).fill('busy'), 'other', 'other', 'other', 'urgent'];
const priorities: Record<Owner, { priorityKey: number; fairnessKey: string }> = {
  busy: { priorityKey: 3, fairnessKey: 'busy' },
  other: { priorityKey: 3, fairnessKey: 'other' },
  urgent: { priorityKey: 1, fairnessKey: 'busy' },
};
const answerWithinMs = 5_000;
/** What a proof that was killed leaves behind ends by itself. */
const leftoversEndAfterMs = 60_000;

/**
 * Tries it: fairness and priority are settings of the server (`matching.enableFairness`, `matching.useNewMatcher`), which it tells nobody. Workflows of two
 * owners are started on a queue that no worker knows, and their tasks are taken in the order in which the server hands them out; then they are deleted.
 * Throws what the client throws when Temporal does not answer.
 */
export async function proveQueueOrder(dependencies: ProofDependencies): Promise<QueueOrder> {
  const { client, connection, namespace } = dependencies;
  const queue = `kos-order-proof-${randomUUID()}`;
  const owners = new Map(queued.map((owner, place) => [`${queue}-${place}`, owner]));
  try {
    return await connection.withDeadline(Date.now() + answerWithinMs, async () => {
      for (const [workflowId, owner] of owners)
        await client.workflow.start('kosOrderProof', {
          taskQueue: queue,
          workflowId,
          workflowExecutionTimeout: leftoversEndAfterMs,
          priority: priorities[owner],
        });
      return judge(await takeAll(dependencies, queue, owners));
    });
  } finally {
    const deletions = [...owners.keys()].map((workflowId) =>
      connection.workflowService.deleteWorkflowExecution({ namespace, workflowExecution: { workflowId } }),
    );
    // One that was never started is not there to be deleted; the others end by themselves.
    await Promise.allSettled(deletions);
  }
}

async function takeAll({ connection, namespace }: ProofDependencies, queue: string, owners: Map<string, Owner>): Promise<Owner[]> {
  const order: Owner[] = [];
  while (order.length < owners.size) {
    const task = await connection.workflowService.pollWorkflowTaskQueue({ namespace, taskQueue: { name: queue }, identity: queue });
    const owner = owners.get(task.workflowExecution?.workflowId ?? '');
    if (owner === undefined) throw new Error(`Temporal handed out ${order.length} of ${owners.size} tasks that queued up.`);
    order.push(owner);
  }
  return order;
}

/** First come, first served puts what came last into the last quarter. */
export function judge(order: readonly Owner[]): QueueOrder {
  const middle = order.length / 2;
  const places = order.flatMap((owner, place) => (owner === 'other' ? [place] : []));
  const mean = places.reduce((sum, place) => sum + place, 0) / places.length;
  return { fair: mean < middle, byPriority: order.indexOf('urgent') < middle };
}
