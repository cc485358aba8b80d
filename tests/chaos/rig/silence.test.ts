import { expect, test } from 'vitest';
import { silenceAfter } from './silence.ts';

test('a silence begins at the kill, not at the last sign before it', () => {
  expect(silenceAfter(1_000, [0, 900, 3_000, 3_100])).toBe(2_000);
});

test('what was in flight at the kill is no recovery', () => {
  expect(silenceAfter(1_000, [900, 1_050, 4_050, 4_100])).toBe(3_000);
});

test('a standstill that comes later counts, too', () => {
  expect(silenceAfter(1_000, [900, 1_200, 1_400, 11_400, 11_500])).toBe(10_000);
});

test('before the kill nothing counts', () => {
  expect(silenceAfter(10_000, [0, 9_000, 10_100])).toBe(100);
});

test('a run that was over, or shows nothing, tells nothing', () => {
  expect(silenceAfter(1_000, [100, 200])).toBeNull();
  expect(silenceAfter(1_000, [])).toBeNull();
});
