import { expect, it } from 'vitest';
import { forkRunSchema } from './run.ts';

it('a fork names no version that nothing could keep', () => {
  expect(forkRunSchema.safeParse({ from: 'only', version: 999_999_999 }).success).toBe(true);
  for (const version of [0, 1_000_000_000, Number.MAX_SAFE_INTEGER]) expect(forkRunSchema.safeParse({ from: 'only', version }).success).toBe(false);
});
