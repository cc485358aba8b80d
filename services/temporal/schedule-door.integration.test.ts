import { Connection } from '@temporalio/client';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { dueTimes } from '#core/schedule/due-times.ts';
import { checkSpec } from '#core/schedule/spec.ts';
import { scheduleSpecSchema } from '#schemas/schedule.ts';
import { newId } from '#services/ids.ts';
import { createTestPayloadSealing } from '#tests/rig/test-payload-key.ts';
import { connectRunWorkflows, type RunWorkflows } from './run-workflows.ts';

let workflows: RunWorkflows;
let connection: Connection;
beforeAll(async () => {
  workflows = connectRunWorkflows({ ...inject('servers').temporal, sealing: createTestPayloadSealing(), taskQueue: `runs-${newId('workspace')}` });
  connection = await Connection.connect({ address: inject('servers').temporal.address });
});
afterAll(async () => {
  await workflows.close();
  await connection.close();
});

describe('what is foretold', () => {
  it('is what Temporal computes, on the days on which clocks are changed too', async () => {
    const door = workflows.schedules;
    const field = (from: number, to: number) =>
      fc.option(fc.uniqueArray(fc.integer({ min: from, max: to }), { minLength: 1, maxLength: 5 }), { nil: undefined });
    const calendar = fc.record(
      { minute: field(0, 59), hour: field(0, 4), dayOfMonth: field(1, 31), month: field(1, 12), dayOfWeek: field(0, 6) },
      { requiredKeys: [] },
    );
    const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Sydney', 'Asia/Kolkata', 'America/Sao_Paulo');
    const interval = fc.record({ everyMs: fc.integer({ min: 3_600, max: 200_000 }).map((seconds) => seconds * 1_000) });
    const changes = fc.constantFrom(
      '2026-10-24T00:00:00Z',
      '2026-10-31T12:00:00Z',
      '2027-03-27T00:00:00Z',
      '2027-03-13T12:00:00Z',
      '2026-10-03T00:00:00Z',
      '2028-02-27T00:00:00Z',
    );
    await fc.assert(
      fc.asyncProperty(calendar, calendar, zone, fc.array(interval, { maxLength: 1 }), changes, async (first, except, timezone, intervals, from) => {
        const given = scheduleSpecSchema.parse({ calendars: [first], intervals, except: [{ ...except, hour: [3] }], timezone });
        const { cron: _cron, ...rest } = given;
        const id = newId('schedule');
        await door.put({ id, workspaceId: newId('workspace'), spec: rest, overlap: 'skip', catchupWindowMs: 60_000, paused: true, note: null, runsLeft: null });
        const until = Date.parse(from) + 4 * 86_400_000;
        const seconds = (ms: number) => ({ seconds: Math.floor(ms / 1_000) as never });
        const { startTime } = await connection.workflowService.listScheduleMatchingTimes({
          namespace: inject('servers').temporal.namespace,
          scheduleId: id,
          startTime: seconds(Date.parse(from) - 1_000),
          endTime: seconds(until),
        });
        await door.remove(id);
        const computed = (startTime ?? []).map(({ seconds: at }) => Number(at) * 1_000);
        expect(dueTimes(checkSpec(given), Date.parse(from) - 1_000, until, 1_000)).toEqual(computed);
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });
});
