import { describe, expect, it } from 'vitest';
import { isWorthCollecting } from './settle-heap.ts';

const keptBytes = 40_000_000;

describe('a heap that has grown', () => {
  it('is collected when its process is at rest, and not for little', () => {
    expect(isWorthCollecting({ usedBytes: 60_000_000, keptBytes, utilization: 0.01 })).toBe(true);
    expect(isWorthCollecting({ usedBytes: 50_000_000, keptBytes, utilization: 0.01 })).toBe(false);
  });

  it('is left alone while its process has work', () => {
    expect(isWorthCollecting({ usedBytes: 200_000_000, keptBytes, utilization: 0.2 })).toBe(false);
  });

  it('is left alone before it was collected for the first time', () => {
    expect(isWorthCollecting({ usedBytes: 200_000_000, keptBytes: Number.POSITIVE_INFINITY, utilization: 0 })).toBe(false);
  });
});
