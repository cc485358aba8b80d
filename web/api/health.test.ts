import { describe, expect, it } from 'vitest';
import { createHealthProbe, type HealthSources } from './health.ts';

const well: HealthSources = { pingDatabase: async () => undefined, pingTemporal: async () => 2, countWorkers: async () => 2 };
const fail = async (): Promise<never> => {
  throw new Error('unreachable');
};
const check = (sources: Partial<HealthSources>) => createHealthProbe({ ...well, ...sources }, () => 0).check();

describe('health', () => {
  it('is ready when every part answers and somebody works', async () => {
    expect(await check({})).toEqual({ ready: true, parts: { database: 'ok', temporal: 'ok', workers: 'ok' } });
  });

  it('names the part that is down, and no more than it', async () => {
    expect(await check({ pingDatabase: fail })).toEqual({ ready: false, parts: { database: 'down', temporal: 'ok', workers: 'ok' } });
    expect(await check({ pingTemporal: fail, countWorkers: fail })).toEqual({ ready: false, parts: { database: 'ok', temporal: 'down', workers: 'down' } });
    expect(await check({ countWorkers: async () => 0 })).toEqual({ ready: false, parts: { database: 'ok', temporal: 'ok', workers: 'down' } });
  });

  it('asks once a second while all is well, ten times while it is not, and never twice at once', async () => {
    let [now, asked, workers] = [0, 0, 1];
    const countWorkers = async (): Promise<number> => {
      asked += 1;
      return workers;
    };
    const probe = createHealthProbe({ ...well, countWorkers }, () => now);
    const askAt = async (instant: number): Promise<number> => {
      now = instant;
      await Promise.all([probe.check(), probe.check(), probe.check()]);
      return asked;
    };
    expect([await askAt(0), await askAt(999), await askAt(1_000)]).toEqual([1, 1, 2]);
    workers = 0;
    expect([await askAt(2_000), await askAt(2_099), await askAt(2_100)]).toEqual([3, 3, 4]);
  });
});
