import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Calendar, scheduleSpecSchema } from '#schemas/schedule.ts';
import { matchesCalendar, openCalendar } from './calendar.ts';
import { readCron } from './cron.ts';
import { describeDueTimes, dueTimes } from './due-times.ts';
import { readSpec } from './reading.ts';
import { checkSpec } from './spec.ts';
import { wallClock } from './wall-clock.ts';

const specOf = (given: object) => scheduleSpecSchema.parse(given);
const timesOf = (given: object, after: string, count: number): string[] =>
  dueTimes(checkSpec(specOf(given)), Date.parse(after), Number.MAX_SAFE_INTEGER, count).map((time) => new Date(time).toISOString());

const field = (from: number, to: number) => fc.option(fc.uniqueArray(fc.integer({ min: from, max: to }), { minLength: 1, maxLength: 4 }), { nil: undefined });
const calendars: fc.Arbitrary<Calendar> = fc.record(
  { minute: field(0, 59), hour: field(0, 23), dayOfMonth: field(1, 28), month: field(1, 12), dayOfWeek: field(0, 6) },
  { requiredKeys: [] },
);
const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Sydney');
const instants = fc.integer({ min: Date.parse('2024-01-01'), max: Date.parse('2034-01-01') }).map((ms) => ms - (ms % 1_000));

describe('due times', () => {
  it('match their calendar, come in order, after the instant, and none between them is left out', () => {
    fc.assert(
      fc.property(calendars, zones, instants, (calendar, timezone, after) => {
        const opened = openCalendar(calendar);
        const clock = wallClock(timezone);
        const times = dueTimes(checkSpec(specOf({ calendars: [calendar], timezone })), after, Number.MAX_SAFE_INTEGER, 5);
        let last = after;
        for (const time of times) {
          expect(time).toBeGreaterThan(last);
          // A gap of at most a day is looked through minute by minute.
          if (time - last < 86_400_000 && isSteady(clock.offsetAt, last, time))
            for (let between = last - (last % 60_000) + 60_000; between < time; between += 60_000) expect(matchesCalendar(opened, clock, between)).toBe(false);
          if (isSteady(clock.offsetAt, time - 7_200_000, time + 7_200_000)) expect(matchesCalendar(opened, clock, time)).toBe(true);
          last = time;
        }
      }),
    );
  });

  it('of a later instant are those of an earlier one without what has passed', () => {
    fc.assert(
      fc.property(calendars, instants, fc.nat(10), (calendar, after, skipped) => {
        const spec = checkSpec(specOf({ calendars: [calendar], intervals: [{ everyMs: 3_600_000 * 7 }], timezone: 'Europe/Berlin' }));
        const all = dueTimes(spec, after, Number.MAX_SAFE_INTEGER, 20);
        const from = all[skipped] ?? after;
        expect(dueTimes(spec, from, Number.MAX_SAFE_INTEGER, 19 - skipped)).toEqual(all.slice(skipped + 1));
      }),
    );
  });

  it('leave out what is excepted, before the start and after the end', () => {
    const spec = {
      intervals: [{ everyMs: 3_600_000 }],
      except: [{ hour: [{ from: 1, to: 22 }] }],
      startAt: '2030-01-01T00:00:00Z',
      endAt: '2030-01-01T23:00:00Z',
    };
    expect(timesOf(spec, '2029-12-01T00:00:00Z', 10)).toEqual(['2030-01-01T00:00:00.000Z', '2030-01-01T23:00:00.000Z']);
  });

  it('end where nothing can match', () => {
    expect(timesOf({ calendars: [{ dayOfMonth: 31, month: 2 }] }, '2030-01-01T00:00:00Z', 3)).toEqual([]);
    expect(timesOf({ calendars: [{ year: 2031 }] }, '2032-01-01T00:00:00Z', 3)).toEqual([]);
    expect(
      timesOf(
        { intervals: [{ everyMs: 1_000 }], except: [{ hour: [{ from: 0, to: 23 }], minute: [{ from: 0, to: 59 }], second: [{ from: 0, to: 59 }] }] },
        '2030-01-01T00:00:00Z',
        1,
      ),
    ).toEqual([]);
  });

  it('say what a change of clocks does to them', () => {
    const daily = checkSpec(specOf({ cron: ['30 2 * * *'], timezone: 'Europe/Berlin' }));
    const spring = describeDueTimes(daily, Date.parse('2027-03-26T12:00:00Z'), 2);
    expect(spring).toEqual([
      { at: '2027-03-27T01:30:00.000Z', local: '2027-03-27T02:30:00+01:00', dst: null },
      { at: null, local: '2027-03-28T02:30:00', dst: 'Clocks go forward over this time that day: it is not due.' },
      { at: '2027-03-29T00:30:00.000Z', local: '2027-03-29T02:30:00+02:00', dst: 'Clocks go forward before it: from +01:00 to +02:00.' },
    ]);
    const newYork = checkSpec(specOf({ cron: ['30 1 * * *'], timezone: 'America/New_York' }));
    expect(describeDueTimes(newYork, Date.parse('2026-11-01T00:00:00Z'), 3)).toEqual([
      { at: '2026-11-01T05:30:00.000Z', local: '2026-11-01T01:30:00-04:00', dst: 'Clocks show this time twice that day: it is due both times.' },
      { at: '2026-11-01T06:30:00.000Z', local: '2026-11-01T01:30:00-05:00', dst: 'Clocks show this time twice that day: it is due both times.' },
      { at: '2026-11-02T06:30:00.000Z', local: '2026-11-02T01:30:00-05:00', dst: null },
    ]);
  });
});

const isSteady = (offsetAt: (ms: number) => number, from: number, to: number): boolean => offsetAt(from - 10_800_000) === offsetAt(to + 10_800_000);

describe('a cron line', () => {
  it('means either where it bounds day of month and day of week, as in cron', () => {
    expect(timesOf({ cron: ['0 9 13 * fri'] }, '2030-09-01T00:00:00Z', 4).map((time) => time.slice(5, 10))).toEqual(['09-06', '09-13', '09-20', '09-27']);
    expect(timesOf({ cron: ['0 9 13 * *'] }, '2030-09-01T00:00:00Z', 2).map((time) => time.slice(5, 10))).toEqual(['09-13', '10-13']);
  });

  it('knows steps, ranges, names, Sunday as 0 and 7, and shorthands', () => {
    expect(readCron('*/20 8-10/2 * jan,Dec 7')).toEqual({ calendars: [{ minute: [0, 20, 40], hour: [8, 10], month: [1, 12], dayOfWeek: [0] }] });
    expect(readCron('5/20 0 1 1 ?')).toEqual({ calendars: [{ minute: [5, 25, 45], hour: [0], dayOfMonth: [1], month: [1] }] });
    expect(readCron('@hourly')).toEqual(readCron('0 * * * *'));
    expect(readCron('0 0 * * 5-7')).toEqual({ calendars: [{ minute: [0], hour: [0], dayOfWeek: [0, 5, 6] }] });
  });

  it.each([
    '',
    '* * * *',
    '60 * * * *',
    '0 24 * * *',
    '0 0 0 * *',
    '0 0 * 13 *',
    '* * * * 8',
    '5-1 * * * *',
    '*/0 * * * *',
    '1/2/3 * * * *',
    'x * * * *',
    '0 0 L * *',
    '@often',
    '1-2-3 * * * *',
    '0 0 * monday *',
  ])('that is wrong is refused: %j', (line) => {
    expect(readCron(line)).toHaveProperty('fault');
  });

  it('is read as it is matched, whatever its fields', () => {
    const part = (from: number, to: number) =>
      fc.oneof(
        fc.constant('*'),
        fc.integer({ min: from, max: to }).map(String),
        fc.integer({ min: 2, max: 9 }).map((step) => `*/${step}`),
      );
    fc.assert(
      fc.property(part(0, 59), part(0, 23), part(1, 28), part(1, 12), part(0, 6), (...fields) => {
        const line = fields.join(' ');
        expect(readCron(line)).toHaveProperty('calendars');
        expect(readSpec(specOf({ cron: [line] })).length).toBeGreaterThan(10);
      }),
    );
  });
});

describe('the reading of a spec', () => {
  it.each([
    [{ cron: ['0 9 * * mon-fri'], timezone: 'Europe/Berlin' }, 'At 09:00, Monday through Friday, Europe/Berlin time.'],
    [{ intervals: [{ everyMs: 5_400_000 }] }, 'Every 1 hour 30 minutes.'],
    [{ intervals: [{ everyMs: 3_600_000, offsetMs: 60_000 }], jitterMs: 30_000 }, 'Every 1 hour, 1 minute after the full count; each up to 30 seconds later.'],
    [
      { calendars: [{ hour: 3, dayOfMonth: [1, 15] }], endAt: '2031-01-01T00:00:00Z' },
      'At 03:00, on day 1 and 15 of the month, UTC time; until 2031-01-01T00:00:00Z.',
    ],
    [{ calendars: [{ hour: 3, dayOfMonth: 13, dayOfWeek: 5, year: [2030] }] }, 'At 03:00, on day 13 of the month, only on Friday, in 2030, UTC time.'],
  ])('%j', (given, text) => {
    expect(readSpec(specOf(given))).toBe(text);
  });
});

describe('a spec', () => {
  it('is refused with every fault in its place', () => {
    const spec = specOf({
      cron: ['* * *', '0 0 * * *', '61 * * * *'],
      timezone: 'Mars/Phobos',
      startAt: '2031-01-01T00:00:00Z',
      endAt: '2030-01-01T00:00:00Z',
    });
    expect(() => checkSpec(spec)).toThrow(expect.objectContaining({ code: 'schedule_invalid', status: 422 }));
    try {
      checkSpec(spec);
    } catch (error) {
      expect((error as { details: { pointer: string }[] }).details.map(({ pointer }) => pointer)).toEqual([
        '/spec/cron/0',
        '/spec/cron/2',
        '/spec/timezone',
        '/spec/endAt',
      ]);
    }
    expect(scheduleSpecSchema.safeParse({}).success).toBe(false);
    expect(scheduleSpecSchema.safeParse({ intervals: [{ everyMs: 1_500 }] }).success).toBe(false);
    expect(scheduleSpecSchema.safeParse({ calendars: [{ hour: [{ from: 9, to: 5 }] }] }).success).toBe(false);
  });
});
