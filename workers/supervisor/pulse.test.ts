import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { watchPulse } from './pulse.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('tells once when signs of life stop', () => {
  const onSilent = vi.fn<() => void>();
  const pulse = watchPulse(onSilent, 10);
  pulse.beat();
  vi.advanceTimersByTime(95);
  expect(onSilent).not.toHaveBeenCalled();
  pulse.beat();
  vi.advanceTimersByTime(85);
  expect(onSilent).not.toHaveBeenCalled();
  vi.advanceTimersByTime(500);
  expect(onSilent).toHaveBeenCalledTimes(1);
});

it('waits for the first sign, however long a start takes, and for none after its stop', () => {
  const onSilent = vi.fn<() => void>();
  const pulse = watchPulse(onSilent, 10);
  vi.advanceTimersByTime(10_000);
  pulse.beat();
  pulse.stop();
  vi.advanceTimersByTime(10_000);
  expect(onSilent).not.toHaveBeenCalled();
});
