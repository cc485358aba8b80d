import { expect, it } from 'vitest';
import { timesOf } from './start-times.ts';

const now = Date.parse('2031-01-31T09:00:00Z');
const at = (offsetMs: number): string => new Date(now + offsetMs).toISOString();

it('takes a start that has passed for now, and keeps the plan’s own time where no other is asked for', () => {
  expect(timesOf({}, null, now)).toEqual({ startAt: null, deadlineAt: null, timeoutMs: null });
  expect(timesOf({ startAt: at(-1) }, 5_000, now)).toEqual({ startAt: null, deadlineAt: null, timeoutMs: 5_000 });
  expect(timesOf({ startAt: at(1), timeoutMs: 7 }, 5_000, now)).toEqual({ startAt: new Date(now + 1), deadlineAt: null, timeoutMs: 7 });
  expect(timesOf({ startAt: '2031-01-31T11:00:00+01:00', deadlineAt: at(3_600_001) }, null, now)).toMatchObject({ startAt: new Date(now + 3_600_000) });
});

it.each([
  { what: 'a deadline that has passed', request: { deadlineAt: at(0) }, code: 'deadline_passed', pointer: '/deadlineAt' },
  { what: 'a deadline before the start', request: { startAt: at(10), deadlineAt: at(10) }, code: 'deadline_passed', pointer: '/deadlineAt' },
  { what: 'a start in two years', request: { startAt: at(63_072_000_000) }, code: 'start_too_late', pointer: '/startAt' },
])('refuses $what', ({ request, code, pointer }) => {
  expect(() => timesOf(request, null, now)).toThrow(expect.objectContaining({ code, status: 422, details: [expect.objectContaining({ pointer })] }));
});
