import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CalledPlan, type CalledPlans, faultOfCall } from './called-plans.ts';

const plansOf = (calls: Record<string, string[]>): CalledPlans =>
  new Map(
    Object.entries(calls).map(([reference, called]): [string, CalledPlan] => [
      reference,
      { name: reference.split('@')[0] ?? '', version: 1, inputSchema: null, calls: called },
    ]),
  );

describe('plans that run plans', () => {
  it('may be run by several others', () => {
    expect(faultOfCall('top', 'a', plansOf({ a: ['b', 'c'], b: ['c'], c: [] }))).toBeNull();
  });

  it('may not lead back to one that runs already, in whatever version', () => {
    expect(faultOfCall('top', 'a', plansOf({ a: ['b'], b: ['top@3'], 'top@3': [] }))).toEqual({ fault: 'recursion', path: ['top', 'a', 'b', 'top'] });
    expect(faultOfCall('top', 'top', plansOf({ top: [] }))).toEqual({ fault: 'recursion', path: ['top', 'top'] });
  });

  it('must be there', () => {
    expect(faultOfCall('top', 'a', plansOf({ a: ['gone'] }))).toEqual({ fault: 'unknown', reference: 'gone' });
  });

  it('stand at most eight below one another', () => {
    const chain = (length: number): CalledPlans =>
      plansOf(Object.fromEntries(Array.from({ length }, (_, at) => [`p${at}`, at + 1 < length ? [`p${at + 1}`] : []])));
    expect(faultOfCall('top', 'p0', chain(8))).toBeNull();
    expect(faultOfCall('top', 'p0', chain(9))).toMatchObject({ fault: 'depth' });
  });

  it('are judged quickly and without fault where each runs only later ones', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), (depth) => {
        const names = Array.from({ length: depth }, (_, level) => Array.from({ length: 5 }, (_unused, at) => `l${level}x${at}`));
        const calls = Object.fromEntries(names.flatMap((level, at) => level.map((name) => [name, names[at + 1] ?? []])));
        expect(faultOfCall('top', 'l0x0', plansOf(calls))).toBeNull();
      }),
    );
  });
});
