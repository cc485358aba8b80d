import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { repeat } from './repeat.ts';

const log = pino({ level: 'silent' });

/** How many rounds there are when it is nudged all the time. */
async function roundsOf(durationMs: number, restMs: number, apartMs: number): Promise<number> {
  let rounds = 0;
  const duty = repeat('test', log, () => Promise.resolve((rounds += 1) > 0 ? restMs : 0), apartMs);
  const until = performance.now() + durationMs;
  while (performance.now() < until) {
    duty.nudge();
    await sleep(1);
  }
  await duty.stop();
  return rounds;
}

describe('a duty', () => {
  it('looks at once when it is nudged', async () => {
    expect(await roundsOf(300, 10_000, 0)).toBeGreaterThan(10);
  });

  it('keeps its rounds apart where it is told to, and misses no nudge', async () => {
    const rounds = await roundsOf(350, 10_000, 100);
    expect(rounds).toBeGreaterThan(1);
    expect(rounds).toBeLessThan(6);
  });

  it('stops in the middle of a rest', async () => {
    const since = performance.now();
    await roundsOf(20, 10_000, 10_000);
    expect(performance.now() - since).toBeLessThan(5_000);
  });
});
