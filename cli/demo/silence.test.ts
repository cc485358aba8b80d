import { expect, test } from 'vitest';
import { noteSign, silenceSince } from './silence.ts';

test('what was on its way when the worker was killed is no sign of its successor', () => {
  const heard = [990, 1_002, 1_004, 3_300, 3_310, 3_305].reduce(noteSign, silenceSince(1_000));
  expect(heard.longestMs).toBe(2_296);
});

test('no sign, no silence that has ended', () => {
  expect(noteSign(silenceSince(1_000), 900).longestMs).toBeNull();
});
