import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection, WorkflowNotFoundError } from '@temporalio/client';

/** Deletes what Temporal holds of a run: its executions and those of its windows. Returns when they are gone. */
export async function deleteExecutions({ address, namespace }: { address: string; namespace: string }, runId: string): Promise<void> {
  const connection = await Connection.connect({ address });
  const client = new Client({ connection, namespace });
  try {
    const ids = new Set([runId]);
    for await (const { workflowId } of client.workflow.list({ query: `WorkflowId STARTS_WITH '${runId}.'` })) ids.add(workflowId);
    for (const workflowId of ids) {
      await connection.workflowService.deleteWorkflowExecution({ namespace, workflowExecution: { workflowId } });
      while (await exists(client, workflowId)) await sleep(50);
    }
  } finally {
    await connection.close();
  }
}

async function exists(client: Client, workflowId: string): Promise<boolean> {
  try {
    await client.workflow.getHandle(workflowId).describe();
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
