import { expect, it } from 'vitest';
import { readInstant } from './times.ts';

const now = Date.parse('2031-01-31T09:00:00Z');

it.each([
  { text: '+90s', instant: '2031-01-31T09:01:30.000Z' },
  { text: '+15m', instant: '2031-01-31T09:15:00.000Z' },
  { text: '+2h', instant: '2031-01-31T11:00:00.000Z' },
  { text: '+3d', instant: '2031-02-03T09:00:00.000Z' },
  { text: '2031-01-31T10:00:00+01:00', instant: '2031-01-31T09:00:00.000Z' },
  { text: '2031-01-31T09:00Z', instant: '2031-01-31T09:00:00.000Z' },
])('reads $text', ({ text, instant }) => {
  expect(readInstant(text, now)).toBe(instant);
});

it.each(['tomorrow', '2031-01-31T09:00:00', '2031-01-31', '+2', '-2h', '2031-13-01T00:00:00Z', ''])('does not guess what "%s" is', (text) => {
  expect(readInstant(text, now)).toBeNull();
});
