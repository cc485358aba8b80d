import { setTimeout as sleep } from 'node:timers/promises';
import { Connection, isGrpcServiceError } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';

export interface NamespaceOptions {
  address: string;
  namespace: string;
  timeoutMs: number;
}

/** How long Temporal keeps closed workflows. Postgres keeps the runs; the dev server's own default is 24 h. */
const retentionMs = 7 * 24 * 60 * 60 * 1_000;

/** Waits until the server answers for the namespace, and sets its retention. */
export async function prepareNamespace(options: NamespaceOptions): Promise<void> {
  const deadline = performance.now() + options.timeoutMs;
  const connection = Connection.lazy({ address: options.address, connectTimeout: options.timeoutMs });
  try {
    for (;;) {
      try {
        await connection.withDeadline(Date.now() + 2_000, () => setRetention(connection, options.namespace));
        return;
      } catch (error) {
        // Not listening yet, or the namespace is still being made: both are a matter of moments at start.
        if (!isGrpcServiceError(error) || performance.now() > deadline) throw error;
        await sleep(25);
      }
    }
  } finally {
    await connection.close();
  }
}

async function setRetention(connection: Connection, namespace: string): Promise<void> {
  await connection.workflowService.updateNamespace({
    namespace,
    config: { workflowExecutionRetentionTtl: msToTs(retentionMs) },
  });
}
