import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { scheduleSpecSchema } from '#schemas/schedule.ts';
import type { Handler } from '#tests/kai/fixture-server.ts';
import { kaiWithServer } from '#tests/kai/kai-with-server.ts';
import { aPlan, page } from '#tests/kai/shapes.ts';

const { kai, sent, received, close } = kaiWithServer();
afterEach(close);

const id = 'sch_01a1fbed-3526-70db-9986-2f479f032b1e';
const spec = scheduleSpecSchema.parse({ cron: ['0 9 * * *'], timezone: 'Europe/Berlin' });
const aSchedule = (more: object = {}): object => ({
  id,
  name: 'nightly',
  plan: 'triage',
  input: { path: '/var/log' },
  labels: {},
  priority: null,
  spec,
  overlap: 'skip',
  catchupWindowMs: 3_600_000,
  pauseOnFailure: false,
  runsAtMost: null,
  paused: false,
  note: null,
  runsLeft: null,
  createdBy: 'prn_1',
  grant: ['runs:start'],
  createdAt: '2031-01-01T00:00:00.000Z',
  updatedAt: '2031-01-01T00:00:00.000Z',
  reading: 'At 09:00, Europe/Berlin time.',
  next: [{ at: null, local: '2031-03-30T02:30:00', dst: 'Clocks go forward over this time that day: it is not due.' }],
  last: [
    {
      nominalAt: '2031-01-01T08:00:00.000Z',
      kind: 'regular',
      status: 'missed',
      reason: 'nothing was there',
      runId: null,
      runStatus: null,
      at: '2031-01-01T08:00:00.000Z',
    },
  ],
  missed: 1,
  pendingSync: null,
  ...more,
});
const known: Record<string, Handler> = {
  'GET /v1/schedules': () => ({ json: page(aSchedule()) }),
  'GET /v1/schedules/{id}': () => ({ json: aSchedule(), headers: { etag: '"schedule-3"' } }),
};
describe('kai schedule', () => {
  test('create sends what the options say, inputs typed by the plan', async () => {
    const words = [
      'schedule',
      'create',
      'nightly',
      '--plan',
      'triage',
      '-i',
      'path=/var/log',
      '--cron',
      '0 9 * * *',
      '--every',
      '2h',
      '--timezone',
      'Europe/Berlin',
      '--jitter',
      '90s',
      '--overlap',
      'bufferOne',
      '--runs',
      '5',
    ];
    const { code, stdout } = await kai(words, {
      'GET /v1/plans/triage': () => ({ json: aPlan() }),
      'POST /v1/schedules': () => ({ status: 201, json: aSchedule() }),
    });
    expect(code).toBe(0);
    expect(stdout).toContain('At 09:00, Europe/Berlin time.');
    expect(sent('POST')).toEqual({
      name: 'nightly',
      plan: 'triage',
      input: { path: '/var/log' },
      spec: { cron: ['0 9 * * *'], intervals: [{ everyMs: 7_200_000 }], calendars: [], timezone: 'Europe/Berlin', jitterMs: 90_000 },
      overlap: 'bufferOne',
      runsAtMost: 5,
    });
  });

  test('get shows what it means, times that the clock leaves out, and what was missed', async () => {
    const { code, stdout } = await kai(['schedule', 'get', 'nightly'], known);
    expect(code).toBe(0);
    for (const text of ['2031-03-30 02:30:00', '! Clocks go forward', 'MISSED', '1 in the last 7 days']) expect(stdout).toContain(text);
    expect(received('GET')?.query.get('name')).toBe('nightly');
  });

  test('set changes what is named, under the ETag that was read, and keeps the rest', async () => {
    const { code } = await kai(['schedule', 'set', id, '--every', '1d', '--no-limit'], { ...known, 'PUT /v1/schedules/{id}': () => ({ json: aSchedule() }) });
    expect(code).toBe(0);
    expect(sent('PUT')).toMatchObject({
      plan: 'triage',
      input: { path: '/var/log' },
      overlap: 'skip',
      runsAtMost: null,
      spec: { cron: [], intervals: [{ everyMs: 86_400_000 }], timezone: 'Europe/Berlin' },
    });
    expect(received('PUT')?.headers['if-match']).toBe('"schedule-3"');
  });

  test('pause, resume, run and remove do what they say', async () => {
    const { code } = await kai(['schedule', 'pause', id, '--note', 'holidays'], {
      'POST /v1/schedules/{id}/pause': () => ({ json: aSchedule({ paused: true, note: 'holidays' }) }),
    });
    expect([code, sent('POST')]).toEqual([0, { note: 'holidays' }]);
    const ran = await kai(['schedule', 'run', id], {
      'POST /v1/schedules/{id}/run': () => ({ status: 202, json: { id: 'sor_1', kind: 'manual', starts: 1, nominalAt: ['2031-01-01T00:00:00.000Z'] } }),
    });
    expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining('Ordered for 2031-01-01')]);
    expect(received('POST')?.headers['idempotency-key']).toBeDefined();
    const removed = await kai(['schedule', 'remove', 'nightly'], { ...known, 'DELETE /v1/schedules/{id}': () => ({ status: 204, bytes: '' }) });
    expect(removed.code).toBe(0);
  });

  test('backfill shows first, and starts nothing where nobody can be asked', async () => {
    const preview = {
      total: 2,
      times: [{ at: '2031-01-01T08:00:00.000Z', local: '2031-01-01T09:00:00+01:00', dst: null }],
      alreadyRun: ['2031-01-01T08:00:00.000Z'],
    };
    const routes: Record<string, Handler> = { 'POST /v1/schedules/{id}/preview': () => ({ json: preview }) };
    const words = ['schedule', 'backfill', id, '--from', '2031-01-01T00:00:00Z', '--to', '2031-01-03T00:00:00Z'];
    const asked = await kai(words, routes);
    expect(asked.code).toBe(2);
    expect(asked.stderr).toContain('would run again');
    const dry = await kai([...words, '--dry-run', '--json'], routes);
    expect(JSON.parse(dry.stdout)).toEqual(preview);
  });

  test('preview reads a spec from a file; what says no time is a mistake', async () => {
    const file = join(await mkdtemp(join(tmpdir(), 'kai-spec-')), 'spec.yaml');
    await writeFile(file, 'intervals: [{ everyMs: 7200000 }]\nexcept: [{ hour: 3 }]\n');
    const routes: Record<string, Handler> = { 'POST /v1/schedules/preview': () => ({ json: { reading: 'Every 2 hours.', next: [] } }) };
    const { code, stdout } = await kai(['schedule', 'preview', '--spec-file', file], routes);
    expect([code, stdout]).toEqual([0, 'Every 2 hours.\n  It is never due.\n']);
    expect(sent('POST')).toMatchObject({ spec: { except: [{ hour: 3 }] } });
    expect((await kai(['schedule', 'preview'], routes)).code).toBe(2);
    expect((await kai(['schedule', 'preview', '--every', 'often'], routes)).code).toBe(2);
  });
});
