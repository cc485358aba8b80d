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

/** What an event is about: its type up to the dot. */
export const eventTopics = ['run', 'step', 'approval', 'signal', 'starts', 'schedule', 'trigger', 'plan'] as const;
type TopicOf<Type> = Type extends `${infer Topic}.${string}` ? Topic : never;
export type EventTopic = TopicOf<EventType>;
export const topicOf = (type: EventType): EventTopic => type.slice(0, type.indexOf('.')) as EventTopic;

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

/**
 * Text of a model call as it comes, between the events of the same stream. It is no part of the record: no `id`, no `position`, and whoever comes too late
 * finds the whole in the step's output.
 */
export const modelDeltaSchema = z.object({
  type: z.literal('model.delta'),
  workspaceId: z.string(),
  runId: z.string(),
  at: z.string(),
  data: z.object({
    stepPath: z.string(),
    attempt: z.number(),
    /** Of several calls of one step the later one has the higher number; its text takes the place of the earlier one's. */
    call: z.number(),
    /** Characters of the call's text before these. 0 again for who comes back: the text so far. */
    from: z.number(),
    text: z.string(),
  }),
});
export type ModelDelta = z.infer<typeof modelDeltaSchema>;

/** What a stream can be narrowed to: topics of events, and `model` for text as it comes. */
export const streamTopics = [...eventTopics, 'model'] as const;
export type StreamTopic = (typeof streamTopics)[number];

/** An event as the WebSocket sends it. `ready` and `reset` come from the stream itself, and `model.delta` from a call under way: they have no id. */
export const eventEnvelopeSchema = z.object({
  id: z.string().nullable(),
  type: z.enum([...eventTypes, 'model.delta', 'ready', 'reset']),
  /** The agent that it is about, where it names one. */
  agent: z.string().nullable(),
  /** The run's id. */
  task_id: z.string().nullable(),
  payload: jsonObjectSchema,
  timestamp: z.string(),
  /** Go on after it with `after`. Null: it stands nowhere; what was seen last holds, after `reset` nothing. */
  position: z.string().nullable(),
});
export type EventEnvelope = z.infer<typeof eventEnvelopeSchema>;
