import { Client, Connection } from '@temporalio/client';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { createDataConverter } from '#services/temporal/data-converter.ts';
import { quietRuntime } from './quiet-runtime.ts';
import { createTestPayloadSealing } from './test-payload-key.ts';

export interface StoredHistory {
  workflowId: string;
  history: History;
}

export interface ReplayPlace {
  address: string;
  namespace: string;
}

/** Every execution that these workflows and their children left in Temporal, those that continued as new included. */
export async function* historiesOf(place: ReplayPlace, workflowIds: string[]): AsyncGenerator<StoredHistory> {
  const connection = await Connection.connect({ address: place.address });
  const client = new Client({ connection, namespace: place.namespace });
  try {
    for (const root of workflowIds) {
      // Children are called after their run: see workflows/ids.ts; what a Schedule starts is called after it, by the server.
      const query = `WorkflowId = '${root}' OR WorkflowId STARTS_WITH '${root}.' OR WorkflowId STARTS_WITH '${root}-'`;
      for await (const { workflowId, runId } of client.workflow.list({ query })) {
        yield { workflowId, history: await client.workflow.getHandle(workflowId, runId).fetchHistory() };
      }
    }
  } finally {
    await connection.close();
  }
}

/** Replays histories against today's code: an edit that would break a run in flight fails here. Answers how many there were. */
export async function replayHistories(options: { bundle: string; namespace: string }, histories: AsyncIterable<StoredHistory>): Promise<number> {
  quietRuntime();
  const dataConverter = createDataConverter({ sealing: createTestPayloadSealing(), namespace: options.namespace, refuse: 'marker' });
  let replayed = 0;
  for await (const result of Worker.runReplayHistories({ workflowBundle: { codePath: options.bundle }, dataConverter }, histories)) {
    if (result.error !== undefined) throw new Error(`The history of ${result.workflowId} does not replay: ${result.error.message}`, { cause: result.error });
    replayed += 1;
  }
  return replayed;
}

export async function replayAll(options: ReplayPlace & { bundle: string; workflowIds: string[] }): Promise<number> {
  return await replayHistories(options, historiesOf(options, options.workflowIds));
}
