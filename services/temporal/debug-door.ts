import { type Client, type Connection, isGrpcServiceError, QueryNotRegisteredError, ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import type { DebuggedExecution, PendingActivity, Poller } from '#schemas/debug.ts';
import { answeredByTemporal } from './answered.ts';
import { failureLinks } from './failure-links.ts';
import { instantOf, nameIn, openPayload, showMessage } from './protocol-json.ts';

/** What Temporal says at this moment of one workflow's newest execution; steps are not among what it knows. */
export type DescribedExecution = Omit<DebuggedExecution, 'pendingActivities' | 'callStack' | 'workflowTaskFailures'> & {
  taskQueue: string;
  pendingActivities: Omit<PendingActivity, 'steps'>[];
};

export interface DebugDoor {
  /** Null: Temporal does not know it (any more). Throws KosError `temporal_unavailable`. */
  describe(workflowId: string): Promise<DescribedExecution | null>;
  /** Where the workflow's code waits; null: no worker answered in time. */
  callStack(workflowId: string): Promise<string | null>;
  /** Who has polled a queue within minutes. */
  pollers(taskQueue: string, kind: 'workflows' | 'activities'): Promise<Poller[]>;
}

const { PendingActivityState, PendingWorkflowTaskState, TaskQueueType, WorkflowExecutionStatus } = proto.temporal.api.enums.v1;

/** Registered by the SDK in every workflow. */
const stackQuery = '__stack_trace';
/** Time for a worker to replay a long history that it has not in its cache. */
const stackWithinMs = 4_000;

interface DoorParts {
  client: Client;
  connection: Connection;
  namespace: string;
  /** Marks what it refuses. */
  codec: PayloadCodec;
}

export function makeDebugDoor({ client, connection, namespace, codec }: DoorParts): DebugDoor {
  return {
    describe: (workflowId) =>
      answeredByTemporal(async () => {
        const description = await connection.workflowService.describeWorkflowExecution({ namespace, execution: { workflowId } });
        return await showDescription(workflowId, description, codec);
      }),
    callStack: async (workflowId) => {
      try {
        return await client.withDeadline(Date.now() + stackWithinMs, () => client.workflow.getHandle(workflowId).query<string>(stackQuery));
      } catch (error) {
        if (error instanceof WorkflowNotFoundError || error instanceof QueryNotRegisteredError || error instanceof ServiceError || isGrpcServiceError(error))
          return null;
        throw error;
      }
    },
    pollers: async (taskQueue, kind) => {
      const taskQueueType = kind === 'workflows' ? TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW : TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY;
      const answer = await answeredByTemporal(() => connection.workflowService.describeTaskQueue({ namespace, taskQueue: { name: taskQueue }, taskQueueType }));
      return (answer?.pollers ?? []).map(({ identity, lastAccessTime }) => ({ identity: identity ?? null, lastSeenAt: instantOf(lastAccessTime) }));
    },
  };
}

type Description = proto.temporal.api.workflowservice.v1.IDescribeWorkflowExecutionResponse;

async function showDescription(workflowId: string, description: Description, codec: PayloadCodec): Promise<DescribedExecution> {
  const { workflowExecutionInfo: info, executionConfig, pendingActivities, pendingChildren, pendingWorkflowTask: task } = description;
  return {
    workflowId,
    execution: info?.execution?.runId ?? '',
    type: info?.type?.name ?? '',
    status: nameIn(WorkflowExecutionStatus, info?.status, 'WORKFLOW_EXECUTION_STATUS_'),
    taskQueue: executionConfig?.taskQueue?.name ?? '',
    startedAt: instantOf(info?.startTime),
    closedAt: instantOf(info?.closeTime),
    historyEvents: Number(info?.historyLength ?? 0),
    historyBytes: Number(info?.historySizeBytes ?? 0),
    pendingActivities: await Promise.all((pendingActivities ?? []).map((activity) => showActivity(workflowId, activity, codec))),
    pendingChildren: (pendingChildren ?? []).map((child) => ({
      workflowId: child.workflowId ?? '',
      execution: child.runId ?? '',
      type: child.workflowTypeName ?? '',
    })),
    workflowTask:
      task === null || task === undefined
        ? null
        : {
            state: nameIn(PendingWorkflowTaskState, task.state, 'PENDING_WORKFLOW_TASK_STATE_'),
            attempt: task.attempt ?? 1,
            scheduledAt: instantOf(task.scheduledTime),
            startedAt: instantOf(task.startedTime),
          },
  };
}

async function showActivity(
  workflowId: string,
  activity: proto.temporal.api.workflow.v1.IPendingActivityInfo,
  codec: PayloadCodec,
): Promise<DescribedExecution['pendingActivities'][number]> {
  return {
    activityId: activity.activityId ?? '',
    type: activity.activityType?.name ?? '',
    state: nameIn(PendingActivityState, activity.state, 'PENDING_ACTIVITY_STATE_'),
    attempt: activity.attempt ?? 1,
    scheduledAt: instantOf(activity.scheduledTime),
    lastStartedAt: instantOf(activity.lastStartedTime),
    lastHeartbeatAt: instantOf(activity.lastHeartbeatTime),
    nextAttemptAt: instantOf(activity.nextAttemptScheduleTime),
    lastWorker: activity.lastWorkerIdentity || null,
    lastFailure: failureLinks(await showMessage(activity.lastFailure, (payload) => openPayload(payload, workflowId, codec))),
  };
}
