import { z } from 'zod';
import { idSchema } from './ids.ts';
import { jsonObjectSchema } from './json.ts';
import { runStatuses, startRunSchema } from './run.ts';

export const overlapPolicies = ['skip', 'bufferOne', 'bufferAll', 'cancelOther', 'terminateOther', 'allowAll'] as const;
export type OverlapPolicy = (typeof overlapPolicies)[number];
export const overlapSchema = z.enum(overlapPolicies);

/** A number, or a list of numbers and of ranges with a step. */
const field = (from: number, to: number) => {
  const number = z.int().min(from).max(to);
  const range = z
    .strictObject({
      from: number,
      to: number,
      step: z
        .int()
        .min(1)
        .max(Math.max(1, to - from))
        .optional(),
    })
    .refine((given) => given.from <= given.to, 'a range goes from the lower to the higher number');
  return z
    .union([
      number,
      z
        .array(z.union([number, range]))
        .min(1)
        .max(60),
    ])
    .optional();
};

/** Times of the wall clock. What is absent: second, minute and hour are 0, all else matches anything. Every field must match. */
export const calendarSchema = z.strictObject({
  second: field(0, 59),
  minute: field(0, 59),
  hour: field(0, 23),
  dayOfMonth: field(1, 31),
  month: field(1, 12),
  year: field(2000, 2100),
  /** 0 is Sunday, 6 Saturday. */
  dayOfWeek: field(0, 6),
});
export type Calendar = z.infer<typeof calendarSchema>;

const wholeSeconds = (least: number) =>
  z
    .int()
    .min(least)
    .max(31_622_400_000)
    .refine((value) => value % 1_000 === 0, 'must be whole seconds, in ms');

const instant = z.iso.datetime({ offset: true, error: 'must be an instant with its offset, as in 2031-01-31T09:00:00Z' });

/** When: the union of all cron lines, calendars and intervals, without what `except` matches. */
export const scheduleSpecSchema = z
  .strictObject({
    /** Five fields: minute, hour, day of month, month, day of week; or @hourly and its like. */
    cron: z.array(z.string().min(1).max(200)).max(20).default([]),
    calendars: z.array(calendarSchema).max(20).default([]),
    /** Every so long, counted from 1970-01-01T00:00:00Z and `offsetMs` on. */
    intervals: z
      .array(
        z
          .strictObject({ everyMs: wholeSeconds(1_000), offsetMs: wholeSeconds(0).default(0) })
          .refine((interval) => interval.offsetMs < interval.everyMs, 'the offset must be shorter than the interval'),
      )
      .max(20)
      .default([]),
    except: z.array(calendarSchema).max(20).default([]),
    /** IANA name; for cron lines and calendars. */
    timezone: z.string().min(1).max(64).default('UTC'),
    /** Each start is put off by up to so long, differently each time. */
    jitterMs: wholeSeconds(0).default(0),
    /** No start before. */
    startAt: instant.nullable().default(null),
    /** No start after. */
    endAt: instant.nullable().default(null),
  })
  .refine((spec) => spec.cron.length + spec.calendars.length + spec.intervals.length > 0, 'needs at least one of cron, calendars and intervals');
export type ScheduleSpec = z.infer<typeof scheduleSpecSchema>;

export const scheduleNameSchema = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'must be lower-case letters, digits and hyphens, at most 64');

const definition = {
  /** `name` (its newest version at each start) or `name@version`. */
  plan: startRunSchema.shape.plan,
  input: jsonObjectSchema.default({}),
  labels: startRunSchema.shape.labels,
  priority: startRunSchema.shape.priority,
  spec: scheduleSpecSchema,
  /** What happens when a start is due and an earlier run of the schedule is still open. */
  overlap: overlapSchema.default('skip'),
  /** Starts that were due while nothing ran (kOS was off) are made up for when they are not older than this. */
  catchupWindowMs: wholeSeconds(10_000).default(31_536_000_000),
  /** Pause when a run of it fails. */
  pauseOnFailure: z.boolean().default(false),
  /** So many runs, then no more; null: without end. */
  runsAtMost: z.int().min(1).max(1_000_000).nullable().default(null),
};

export const createScheduleSchema = z.strictObject({
  name: scheduleNameSchema,
  ...definition,
  paused: z.boolean().default(false),
  note: z.string().max(2_000).optional(),
});
export type CreateSchedule = z.infer<typeof createScheduleSchema>;

/** The whole definition anew; its name stays. */
export const setScheduleSchema = z.strictObject(definition);
export type SetSchedule = z.infer<typeof setScheduleSchema>;

export const dueTimeSchema = z.object({
  /** Null: the wall clock never shows this time that day. */
  at: z.string().nullable(),
  /** As a clock in the schedule's time zone shows it, with its offset where there is one. */
  local: z.string(),
  /** What the change to or from daylight saving time does to it; null: nothing. */
  dst: z.string().nullable(),
});
export type DueTime = z.infer<typeof dueTimeSchema>;

export const schedulePreviewSchema = z.object({ reading: z.string(), next: z.array(dueTimeSchema) });
export type SchedulePreview = z.infer<typeof schedulePreviewSchema>;

/**
 * `ordered`: asked of Temporal, not taken up yet. `accepted`: there is a run. `skipped`: an earlier run was open, or the schedule's limit was reached.
 * `refused`: no run could be made. `missed`: nothing ran when it was due, and it is too old to be made up for.
 */
export const startStatuses = ['ordered', 'accepted', 'skipped', 'refused', 'missed'] as const;
export type StartStatus = (typeof startStatuses)[number];

export const scheduleStartSchema = z.object({
  /** The time for which it was due, whatever jitter and waiting made of it. */
  nominalAt: z.string(),
  kind: z.enum(['regular', 'manual', 'backfill']),
  status: z.enum(startStatuses),
  reason: z.string().nullable(),
  runId: z.string().nullable(),
  runStatus: z.enum(runStatuses).nullable(),
  at: z.string(),
});
export type ScheduleStart = z.infer<typeof scheduleStartSchema>;

export const scheduleSchema = z.object({
  id: idSchema('schedule'),
  name: z.string(),
  ...setScheduleSchema.shape,
  labels: z.record(z.string(), z.string()),
  priority: z.int().nullable(),
  paused: z.boolean(),
  /** Why it is paused, or what was said when it went on. */
  note: z.string().nullable(),
  /** Null: without end. */
  runsLeft: z.int().nullable(),
  /** The person under whose present rights it acts. */
  createdBy: z.string(),
  /** What it may do of what that person may. */
  grant: z.array(z.string()),
  createdAt: z.string(),
  updatedAt: z.string(),
  /** The spec in plain language. */
  reading: z.string(),
  /** The next ten times; empty while it is paused or when it is over. */
  next: z.array(dueTimeSchema),
  /** The last five starts, newest first. */
  last: z.array(scheduleStartSchema),
  /** Starts of the last 7 days that were missed. */
  missed: z.int(),
  /** Null: Temporal knows it as it is here; else what is still to be told. */
  pendingSync: z.string().nullable(),
});
export type Schedule = z.infer<typeof scheduleSchema>;

export const scheduleNoteSchema = z.strictObject({ note: z.string().max(2_000).optional() });
export const runScheduleSchema = z.strictObject({ overlap: overlapSchema.optional() });
export const backfillRangeSchema = z.strictObject({ from: instant, to: instant });
export const backfillSchema = backfillRangeSchema.extend({ overlap: overlapSchema.optional() });
export const backfillPreviewSchema = z.object({
  /** How many starts there would be. */
  total: z.int(),
  times: z.array(dueTimeSchema),
  /** Times of these for which there has been a run already: it would be run again. */
  alreadyRun: z.array(z.string()),
});
export type BackfillPreview = z.infer<typeof backfillPreviewSchema>;

export const scheduleOrderSchema = z.object({ id: z.string(), kind: z.enum(['manual', 'backfill']), starts: z.int(), nominalAt: z.array(z.string()) });
export type ScheduleOrder = z.infer<typeof scheduleOrderSchema>;

export const previewScheduleSchema = z.strictObject({ spec: scheduleSpecSchema, count: z.int().min(1).max(100).default(10) });
