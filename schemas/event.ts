import { z } from 'zod';
import { jsonObjectSchema } from './json.ts';

export const eventTypes = [
  'run.accepted',
  'run.started',
  'run.waiting',
  'run.paused',
  'run.resumed',
  'run.compensating',
  'run.succeeded',
  'run.failed',
  'run.cancelled',
  'run.terminated',
  'step.started',
  'step.retrying',
  'step.succeeded',
  'step.failed',
  'step.skipped',
  'step.uncertain',
  'step.waiting',
  'step.compensated',
  'approval.requested',
  'approval.claimed',
  'approval.released',
  'approval.commented',
  'approval.edited',
  'approval.escalated',
  'approval.decided',
  'approval.expired',
  'approval.voided',
  'signal.received',
  'starts.held',
  'starts.released',
  'schedule.missed',
  'schedule.paused',
  'trigger.delivered',
  'plan.saved',
] as const;
export type EventType = (typeof eventTypes)[number];

export const eventSchema = z.object({
  /** `evt_…`, for de-duplication. */
  id: z.string(),
  /** `<epoch>-<seq>`: the SSE id; order of the sequencer. */
  position: z.string(),
  type: z.enum(eventTypes),
  workspaceId: z.string(),
  runId: z.string().nullable(),
  at: z.string(),
  data: jsonObjectSchema,
});
export type KosEvent = z.infer<typeof eventSchema>;
