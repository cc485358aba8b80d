import proto from '@temporalio/proto';
import type { DebugFailure, WorkflowTaskFailure } from '#schemas/debug.ts';
import type { Json } from '#schemas/json.ts';
import type { HistoryEvent } from './history-door.ts';
import { nameIn } from './protocol-json.ts';

const { TimeoutType, WorkflowTaskFailedCause } = proto.temporal.api.enums.v1;

/** A failure of Temporal's protocol, its payloads opened. */
interface OpenedFailure {
  message?: string;
  stackTrace?: string;
  /** Instead of the two above, where the failure was sealed. */
  encodedAttributes?: { message?: unknown; stack_trace?: unknown };
  cause?: OpenedFailure;
  applicationFailureInfo?: { type?: string };
  timeoutFailureInfo?: { timeoutType?: number };
  canceledFailureInfo?: object;
  terminatedFailureInfo?: object;
  serverFailureInfo?: object;
  activityFailureInfo?: object;
  childWorkflowExecutionFailureInfo?: object;
}

/** A failure and its causes, the outermost first; none for null. */
export function failureLinks(failure: Json): DebugFailure[] {
  const links: DebugFailure[] = [];
  for (let link = failure as OpenedFailure | null | undefined; link !== null && link !== undefined; link = link.cause) {
    const { message, stack_trace: stackTrace } = link.encodedAttributes ?? { message: link.message, stack_trace: link.stackTrace };
    links.push({ code: codeOf(link), message: textOrNull(message), stackTrace: textOrNull(stackTrace) });
  }
  return links;
}

const textOrNull = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

function codeOf(failure: OpenedFailure): string {
  if (failure.applicationFailureInfo !== undefined) return failure.applicationFailureInfo.type ?? 'application_failure';
  if (failure.timeoutFailureInfo !== undefined) return `timeout_${nameIn(TimeoutType, failure.timeoutFailureInfo.timeoutType, 'TIMEOUT_TYPE_')}`;
  if (failure.canceledFailureInfo !== undefined) return 'cancelled';
  if (failure.terminatedFailureInfo !== undefined) return 'terminated';
  if (failure.serverFailureInfo !== undefined) return 'server_failure';
  if (failure.activityFailureInfo !== undefined) return 'activity_failure';
  if (failure.childWorkflowExecutionFailureInfo !== undefined) return 'child_workflow_failure';
  return 'failure';
}

/** A worker could not decide, or did not in time; null: the event tells something else. */
export function workflowTaskFailure({ id, at, type, attributes }: HistoryEvent): WorkflowTaskFailure | null {
  const tell = (cause: string): WorkflowTaskFailure => ({ eventId: id, at, cause, failure: failureLinks(attributes['failure'] ?? null) });
  if (type === 'EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT') return tell('timed_out');
  if (type === 'EVENT_TYPE_WORKFLOW_TASK_FAILED') return tell(nameIn(WorkflowTaskFailedCause, Number(attributes['cause'] ?? 0), 'WORKFLOW_TASK_FAILED_CAUSE_'));
  return null;
}
