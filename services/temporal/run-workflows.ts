import { Client, Connection, isGrpcServiceError, QueryNotRegisteredError, ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import type { TemporalSecurity } from './security.ts';
import { defineSearchAttributeKey, TypedSearchAttributes, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { Sealing } from '#services/sealing/sealing.ts';
import { makeRunWorkflowId, runsTaskQueue, workflowTypes, workspaceSearchAttribute } from '#workflows/ids.ts';
import {
  cancelSignalName,
  controlSignalName,
  type DecisionSignal,
  decisionSignalName,
  type ProgressAnswer,
  progressQueryName,
  turnSignalName,
  type WindowEndedSignal,
  windowEndedSignalName,
} from '#workflows/messages.ts';
import type { PlanRunInput } from '#workflows/plan-run-input.ts';
import { createPayloadCodec } from './codec.ts';
import { createDataConverter } from './data-converter.ts';
import { type DebugDoor, makeDebugDoor } from './debug-door.ts';
import { proveQueueOrder, type QueueOrder } from './fairness-proof.ts';
import { type HistoryDoor, makeHistoryDoor } from './history-door.ts';
import { makeOutgoingDoor, type OutgoingDoor } from './outgoing-door.ts';
import { makeScheduleDoor, type ScheduleDoor } from './schedule-door.ts';

/** What Temporal knows of a run's newest execution. */
export interface ExecutionFacts {
  status: 'running' | 'completed' | 'failed' | 'cancelled' | 'terminated' | 'timed_out';
  chain: string;
  /** Of a failed one: its error's type and message. */
  failure: { code: string; message: string } | null;
  /** Attempts of the workflow task that is pending; above 1 it is failing. */
  workflowTaskAttempt: number;
  /** The most attempts that one of the pending activities has had; 0: none is pending. */
  activityAttempt: number;
}

/** The door to Temporal for everything but workers: ids and sealed numbers go through it, data never. */
export interface RunWorkflows {
  schedules: ScheduleDoor;
  outgoing: OutgoingDoor;
  history: HistoryDoor;
  debug: DebugDoor;
  /** `already`: an execution of this run exists; nothing was started. */
  start(input: PlanRunInput, options: { resume: boolean; priority?: number }): Promise<'started' | 'already'>;
  /** Tells a run's workflow, or that of one of its windows. */
  signalDecision(workflowId: string, signal: DecisionSignal): Promise<'taken' | 'gone'>;
  signalCancel(runId: string): Promise<'taken' | 'gone'>;
  signalControl(runId: string): Promise<'taken' | 'gone'>;
  /** To the workflow of a schedule. */
  signalTurn(workflowId: string): Promise<'taken' | 'gone'>;
  signalWindowEnded(runId: string, signal: WindowEndedSignal): Promise<'taken' | 'gone'>;
  /** The windows that a running run waits for; none when nobody answers for it just now. */
  openWindows(runId: string): Promise<ProgressAnswer['windows']>;
  describe(workflowId: string): Promise<ExecutionFacts | null>;
  /** Workflow ids of one type that run, by visibility (a second or so behind). */
  listRunning(type: keyof typeof workflowTypes): AsyncIterable<string>;
  /** With `chain`, that chain of executions and no other. */
  terminate(workflowId: string, reason: string, chain?: string): Promise<void>;
  /** Workers that have polled the queue for workflow tasks within minutes: some may be gone (services/workers/presence.ts knows). */
  countPollers(): Promise<number>;
  /** Tries whether the server shares out fairly and by priority. */
  proveQueueOrder(): Promise<QueueOrder>;
  close(): Promise<void>;
}

export interface RunWorkflowsOptions {
  address: string;
  namespace: string;
  /** Of a server that is not on this machine. */
  security?: TemporalSecurity;
  sealing: Sealing;
  /** Workflow tasks must be answered within this; a lost worker is noticed by it. */
  workflowTaskTimeoutMs?: number;
  taskQueue?: string;
}

const defaultWorkflowTaskTimeoutMs = 3_000;

/** A server on this machine is never asked through a proxy, whatever `http_proxy` says; one elsewhere may have to be. */
const channelArguments = (address: string): Record<string, number> => (/^(127\.|localhost:|\[::1\])/.test(address) ? { 'grpc.enable_http_proxy': 0 } : {});

export function connectRunWorkflows(options: RunWorkflowsOptions): RunWorkflows {
  const { namespace } = options;
  const taskQueue = options.taskQueue ?? runsTaskQueue;
  const connection = Connection.lazy({ address: options.address, ...options.security, connectTimeout: '3s', channelArgs: channelArguments(options.address) });
  const client = new Client({ connection, namespace, dataConverter: createDataConverter({ sealing: options.sealing, namespace, refuse: 'throw' }) });
  /** Of what is only shown: a payload that cannot be opened hides nothing else. */
  const codec = createPayloadCodec({ sealing: options.sealing, namespace, refuse: 'marker' });
  const workspaceKey = defineSearchAttributeKey(workspaceSearchAttribute, 'KEYWORD');
  const workspaceAttribute = (value: string) => ({ key: workspaceKey, value });
  const workflowTaskTimeoutMs = options.workflowTaskTimeoutMs ?? defaultWorkflowTaskTimeoutMs;

  return {
    schedules: makeScheduleDoor({ client, connection, namespace, taskQueue, workflowTaskTimeoutMs, workspaceAttribute }),
    outgoing: makeOutgoingDoor({ client, taskQueue, workflowTaskTimeoutMs, workspaceAttribute }),
    history: makeHistoryDoor({ connection, namespace, codec }),
    debug: makeDebugDoor({ client, connection, namespace, codec }),
    async start(input, { resume, priority = 3 }) {
      try {
        await client.workflow.start(workflowTypes.planRun, {
          taskQueue,
          workflowId: makeRunWorkflowId(input.runId),
          args: [input],
          workflowTaskTimeout: workflowTaskTimeoutMs,
          workflowIdReusePolicy: resume ? 'ALLOW_DUPLICATE' : 'REJECT_DUPLICATE',
          workflowIdConflictPolicy: 'FAIL',
          // What the run's activities and windows inherit: who comes first where tasks queue up, and an equal share for each workspace.
          priority: { priorityKey: priority, fairnessKey: input.workspaceId },
          typedSearchAttributes: new TypedSearchAttributes([workspaceAttribute(input.workspaceId)]),
        });
        return 'started';
      } catch (error) {
        if (error instanceof WorkflowExecutionAlreadyStartedError) return 'already';
        throw error;
      }
    },
    signalDecision: (workflowId, signal) => signalled(client.workflow.getHandle(workflowId).signal(decisionSignalName, signal)),
    signalCancel: (runId) => signalled(client.workflow.getHandle(makeRunWorkflowId(runId)).signal(cancelSignalName)),
    signalControl: (runId) => signalled(client.workflow.getHandle(makeRunWorkflowId(runId)).signal(controlSignalName)),
    signalTurn: (workflowId) => signalled(client.workflow.getHandle(workflowId).signal(turnSignalName)),
    signalWindowEnded: (runId, signal) => signalled(client.workflow.getHandle(makeRunWorkflowId(runId)).signal(windowEndedSignalName, signal)),
    openWindows: (runId) => openWindows(client, runId),
    describe: (workflowId) => describeExecution(client, workflowId),
    async *listRunning(type) {
      for await (const execution of client.workflow.list({ query: `WorkflowType = '${workflowTypes[type]}' AND ExecutionStatus = 'Running'`, pageSize: 1000 }))
        yield execution.workflowId;
    },
    async terminate(workflowId, reason, chain) {
      const handle =
        chain === undefined ? client.workflow.getHandle(workflowId) : client.workflow.getHandle(workflowId, undefined, { firstExecutionRunId: chain });
      await signalled(handle.terminate(reason));
    },
    async countPollers() {
      const { pollers } = await connection.workflowService.describeTaskQueue({ namespace, taskQueue: { name: taskQueue }, taskQueueType: 1 });
      return (pollers ?? []).length;
    },
    proveQueueOrder: () => proveQueueOrder({ client, connection, namespace }),
    close: () => connection.close(),
  };
}

async function signalled(sending: Promise<unknown>): Promise<'taken' | 'gone'> {
  try {
    await sending;
    return 'taken';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'gone';
    throw error;
  }
}

const statuses: Record<string, ExecutionFacts['status']> = {
  RUNNING: 'running',
  COMPLETED: 'completed',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  TERMINATED: 'terminated',
  TIMED_OUT: 'timed_out',
  CONTINUED_AS_NEW: 'running',
};

/** A query needs a worker: without one nothing is answered, and nothing is wrong that a worker would not mend first. */
const queryTimeoutMs = 2_000;

/** The client wraps what gRPC says (a deadline that passed, too) in an error of its own. */
const isUnanswered = (error: unknown): boolean => error instanceof ServiceError || isGrpcServiceError(error);

async function openWindows(client: Client, runId: string): Promise<ProgressAnswer['windows']> {
  try {
    const handle = client.workflow.getHandle(makeRunWorkflowId(runId));
    const progress = await client.withDeadline(Date.now() + queryTimeoutMs, () => handle.query<ProgressAnswer>(progressQueryName));
    return progress.windows;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError || error instanceof QueryNotRegisteredError || isUnanswered(error)) return [];
    throw error;
  }
}

async function describeExecution(client: Client, workflowId: string): Promise<ExecutionFacts | null> {
  try {
    const handle = client.workflow.getHandle(workflowId);
    const description = await handle.describe();
    const status = statuses[description.status.name] ?? 'running';
    return {
      status,
      chain: description.raw.workflowExecutionInfo?.firstRunId ?? description.runId,
      failure: status === 'failed' ? await failureOf(client, workflowId, description.runId) : null,
      workflowTaskAttempt: description.raw.pendingWorkflowTask?.attempt ?? 0,
      activityAttempt: Math.max(0, ...(description.raw.pendingActivities ?? []).map(({ attempt }) => attempt ?? 0)),
    };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** The failure of a closed execution, from its last event. */
async function failureOf(client: Client, workflowId: string, runId: string): Promise<{ code: string; message: string }> {
  try {
    await client.workflow.getHandle(workflowId, runId, { followRuns: false }).result();
    return { code: 'workflow_failed', message: 'The workflow failed.' };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const type = cause instanceof Error && 'type' in cause && typeof cause.type === 'string' ? cause.type : 'workflow_failed';
    return { code: type, message: cause instanceof Error ? cause.message : String(cause) };
  }
}
