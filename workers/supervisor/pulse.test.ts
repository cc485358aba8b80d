import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { watchAnswers, watchPulse } from './pulse.ts';

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

it('tells once of a part that answers no more, after ten looks and nine questions', async () => {
  const onSilent = vi.fn<() => void>();
  let answers = true;
  const ask = vi.fn<() => Promise<boolean>>(async () => answers);
  watchAnswers(ask, onSilent, 10);
  await vi.advanceTimersByTimeAsync(205);
  answers = false;
  ask.mockClear();
  await vi.advanceTimersByTimeAsync(85);
  expect(onSilent).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(500);
  expect(onSilent).toHaveBeenCalledTimes(1);
  expect(ask).toHaveBeenCalledTimes(9);
});

it('a part that answers late, each time, is slow and not silent', async () => {
  const onSilent = vi.fn<() => void>();
  const ask = (): Promise<boolean> => new Promise((resolve) => setTimeout(() => resolve(true), 75));
  const watch = watchAnswers(ask, onSilent, 10);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(onSilent).not.toHaveBeenCalled();
  watch.stop();
});

it('asks no more after its stop', async () => {
  const onSilent = vi.fn<() => void>();
  const ask = vi.fn<() => Promise<boolean>>(async () => false);
  watchAnswers(ask, onSilent, 10).stop();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(ask).not.toHaveBeenCalled();
  expect(onSilent).not.toHaveBeenCalled();
});
