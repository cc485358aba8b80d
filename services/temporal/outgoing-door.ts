import type { Client } from '@temporalio/client';
import { type SearchAttributePair, TypedSearchAttributes, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { workflowTypes } from '#workflows/ids.ts';

/** The door to Temporal for what is sent to the outside. */
export interface OutgoingDoor {
  /** Asked again it starts nothing while that delivery's workflow runs. */
  start(place: { workspaceId: string; deliveryId: string }): Promise<void>;
}

/** Behind runs, where tasks queue up. */
const priorityKey = 4;

export const makeOutgoingDoor = (options: {
  client: Client;
  taskQueue: string;
  workflowTaskTimeoutMs: number;
  workspaceAttribute: (workspaceId: string) => SearchAttributePair;
}): OutgoingDoor => ({
  async start(place) {
    try {
      await options.client.workflow.start(workflowTypes.outgoingDelivery, {
        taskQueue: options.taskQueue,
        workflowId: place.deliveryId,
        args: [place],
        workflowTaskTimeout: options.workflowTaskTimeoutMs,
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        workflowIdConflictPolicy: 'FAIL',
        priority: { priorityKey, fairnessKey: place.workspaceId },
        typedSearchAttributes: new TypedSearchAttributes([options.workspaceAttribute(place.workspaceId)]),
      });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  },
});
