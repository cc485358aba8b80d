import {
  type Client,
  type Connection,
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  type ScheduleOptions,
  type ScheduleOverlapPolicy,
} from '@temporalio/client';
import { TypedSearchAttributes, type SearchAttributePair } from '@temporalio/common';
import type { Calendar, OverlapPolicy, ScheduleSpec } from '#schemas/schedule.ts';
import { workflowTypes } from '#workflows/ids.ts';

/** A Schedule as Temporal is told of it. Its spec holds no cron line: those have become calendars. */
export interface TemporalSchedule {
  id: string;
  workspaceId: string;
  spec: Omit<ScheduleSpec, 'cron'>;
  overlap: OverlapPolicy;
  catchupWindowMs: number;
  paused: boolean;
  note: string | null;
  runsLeft: number | null;
}

/** What Temporal counts of a Schedule. */
export interface ScheduleCounts {
  /** Due, and too old to be made up for. */
  missed: number;
  /** Due while another one was open. */
  skipped: number;
  /** Waiting for another one's end. */
  buffered: number;
}

/** The door to Temporal's Schedules. */
export interface ScheduleDoor {
  /** Makes it, or makes it what it is now. */
  put(schedule: TemporalSchedule): Promise<void>;
  /** One that is gone already is no error. */
  remove(id: string): Promise<void>;
  /** Asked again with the same time it starts nothing new while that one is open. */
  startNow(id: string, order: { nominalAt: Date; overlap: OverlapPolicy }): Promise<void>;
  /** Every time that is due from one instant to another, both included. */
  backfill(id: string, order: { from: Date; to: Date; overlap: OverlapPolicy }): Promise<void>;
  /** Null: Temporal does not know it. */
  count(id: string): Promise<ScheduleCounts | null>;
}

const policies = {
  skip: 'SKIP',
  bufferOne: 'BUFFER_ONE',
  bufferAll: 'BUFFER_ALL',
  cancelOther: 'CANCEL_OTHER',
  terminateOther: 'TERMINATE_OTHER',
  allowAll: 'ALLOW_ALL',
} as const satisfies Record<OverlapPolicy, ScheduleOverlapPolicy>;

/** As the protocol numbers them (temporal.api.enums.v1.ScheduleOverlapPolicy). */
const policyNumbers: Record<OverlapPolicy, number> = { skip: 1, bufferOne: 2, bufferAll: 3, cancelOther: 4, terminateOther: 5, allowAll: 6 };

const monthNames = ['JANUARY', 'FEBRUARY', 'MARCH', 'APRIL', 'MAY', 'JUNE', 'JULY', 'AUGUST', 'SEPTEMBER', 'OCTOBER', 'NOVEMBER', 'DECEMBER'] as const;
const dayNames = ['SUNDAY', 'MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY'] as const;

export function makeScheduleDoor(options: {
  client: Client;
  connection: Connection;
  namespace: string;
  taskQueue: string;
  workflowTaskTimeoutMs: number;
  /** What every workflow carries of its workspace. */
  workspaceAttribute: (workspaceId: string) => SearchAttributePair;
}): ScheduleDoor {
  const { client, connection, namespace } = options;
  return {
    async put(schedule) {
      const { scheduleId, ...known } = optionsOf(schedule, options);
      try {
        await client.schedule.create({ scheduleId, ...known });
      } catch (error) {
        if (!(error instanceof ScheduleAlreadyRunning)) throw error;
        await client.schedule.getHandle(scheduleId).update(() => ({ ...known, state: known.state ?? {} }));
      }
    },
    async remove(id) {
      await client.schedule
        .getHandle(id)
        .delete()
        .catch((error: unknown) => {
          if (!(error instanceof ScheduleNotFoundError)) throw error;
        });
    },
    async startNow(id, { nominalAt, overlap }) {
      const seconds = Math.floor(nominalAt.getTime() / 1_000);
      // The client's own `trigger` names no time, and the time is what the start is known by.
      await connection.workflowService.patchSchedule({
        namespace,
        scheduleId: id,
        identity: 'kos',
        requestId: `${id} ${seconds}`,
        patch: { triggerImmediately: { overlapPolicy: policyNumbers[overlap], scheduledTime: timestampOf(nominalAt) } },
      });
    },
    async backfill(id, { from, to, overlap }) {
      // Temporal's range leaves out its first instant.
      await client.schedule.getHandle(id).backfill({ start: new Date(from.getTime() - 1_000), end: to, overlap: policies[overlap] });
    },
    async count(id) {
      try {
        const { info, raw } = await client.schedule.getHandle(id).describe();
        return { missed: info.numActionsMissedCatchupWindow, skipped: info.numActionsSkippedOverlap, buffered: Number(raw.info?.bufferSize ?? 0) };
      } catch (error) {
        if (error instanceof ScheduleNotFoundError) return null;
        throw error;
      }
    },
  };
}

const timestampOf = (at: Date): { seconds: never } => ({ seconds: Math.floor(at.getTime() / 1_000) as never });

function optionsOf(schedule: TemporalSchedule, options: Parameters<typeof makeScheduleDoor>[0]): ScheduleOptions {
  const { spec, overlap, catchupWindowMs, paused, note, runsLeft } = schedule;
  return {
    scheduleId: schedule.id,
    spec: {
      calendars: spec.calendars.map(calendarOf),
      intervals: spec.intervals.map(({ everyMs, offsetMs }) => ({ every: everyMs, offset: offsetMs })),
      skip: spec.except.map(calendarOf),
      timezone: spec.timezone,
      jitter: spec.jitterMs,
      ...(spec.startAt === null ? {} : { startAt: new Date(spec.startAt) }),
      ...(spec.endAt === null ? {} : { endAt: new Date(spec.endAt) }),
    },
    action: {
      type: 'startWorkflow',
      workflowType: workflowTypes.scheduledRun,
      workflowId: schedule.id,
      taskQueue: options.taskQueue,
      workflowTaskTimeout: options.workflowTaskTimeoutMs,
      typedSearchAttributes: new TypedSearchAttributes([options.workspaceAttribute(schedule.workspaceId)]),
    },
    policies: { overlap: policies[overlap], catchupWindow: catchupWindowMs },
    state: { paused, ...(note === null ? {} : { note }), ...(runsLeft === null ? {} : { remainingActions: runsLeft }) },
  };
}

type Field = NonNullable<Calendar['second']>;

const rangesOf = (field: Field | undefined) =>
  field === undefined
    ? undefined
    : [field].flat().map((part) => (typeof part === 'number' ? { start: part, end: part } : { start: part.from, end: part.to, step: part.step ?? 1 }));

const named = <Name>(field: Field | undefined, nameOf: (number: number) => Name) =>
  rangesOf(field)?.map(({ start, end, ...rest }) => ({ start: nameOf(start), end: nameOf(end), ...rest }));

function calendarOf({ second, minute, hour, dayOfMonth, month, year, dayOfWeek }: Calendar): NonNullable<ScheduleOptions['spec']['calendars']>[number] {
  const fields = {
    second: rangesOf(second),
    minute: rangesOf(minute),
    hour: rangesOf(hour),
    dayOfMonth: rangesOf(dayOfMonth),
    month: named(month, (number) => monthNames[number - 1] ?? 'JANUARY'),
    year: rangesOf(year),
    dayOfWeek: named(dayOfWeek, (number) => dayNames[number] ?? 'SUNDAY'),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, ranges]) => ranges !== undefined));
}
