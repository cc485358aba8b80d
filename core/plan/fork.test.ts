import { describe, expect, it } from 'vitest';
import type { JsonObject } from '#schemas/json.ts';
import type { StepStatus } from '#schemas/run.ts';
import type { PlanShape, StepShape } from '#schemas/shape.ts';
import { planFork } from './fork.ts';

interface TestStep {
  needs?: string[];
  gate?: string;
  kind?: StepShape['kind'];
  text?: string;
}

const documentOf = (steps: Record<string, TestStep>): JsonObject => ({
  plan: 'p',
  steps: Object.fromEntries(Object.entries(steps).map(([id, { text = id }]) => [id, { transform: text }])),
});

function shapeOf(steps: Record<string, TestStep>): PlanShape {
  const ids = Object.keys(steps);
  return {
    steps: Object.values(steps).map(({ needs = [], gate, kind = 'transform' }) => ({
      kind,
      needs: needs.map((need) => ids.indexOf(need)),
      ...(gate === undefined ? {} : { gate: ids.indexOf(gate) }),
      timeoutMs: 1_000,
    })),
    units: ids.map((_, step) => [step]),
    maxInFlight: 10,
    timeoutMs: null,
  };
}

const fork = (
  from: string,
  steps: Record<string, TestStep>,
  more: { before?: Record<string, TestStep>; statuses?: Record<string, StepStatus | 'tolerated'> } = {},
) => {
  const before = more.before ?? steps;
  const statuses = new Map(Object.entries(more.statuses ?? Object.fromEntries(Object.keys(before).map((id) => [id, 'succeeded' as const]))));
  return planFork({
    runId: 'run_1',
    source: { reference: 'p@1', document: documentOf(before) },
    target: { reference: 'p@2', document: documentOf(steps), shape: shapeOf(steps) },
    statuses,
    from,
  });
};

const chain: Record<string, TestStep> = { a: {}, b: { needs: ['a'] }, c: { needs: ['b'] }, d: { needs: ['a'] } };

describe('a fork', () => {
  it('runs its step and what depends on it again, and carries all else', () => {
    expect(fork('b', chain)).toEqual({ carried: ['a', 'd'], again: ['b', 'c'], numbers: { a: 0, d: 3 } });
    expect(fork('a', chain).carried).toEqual([]);
  });

  it('runs again what has not ended well, where its step does not need it', () => {
    expect(fork('b', chain, { statuses: { a: 'succeeded', b: 'failed', d: 'running' } })).toMatchObject({ carried: ['a'], again: ['b', 'c', 'd'] });
    expect(fork('c', chain, { statuses: { a: 'tolerated', b: 'skipped', c: 'failed', d: 'uncertain' } }).carried).toEqual(['a', 'b']);
  });

  it('is refused where something that its step needs cannot be carried', () => {
    expect(() => fork('c', chain, { statuses: { a: 'succeeded', b: 'failed' } })).toThrow(
      'b, which that needs, cannot be carried over, for it is failed in the run',
    );
    expect(() => fork('c', chain, { statuses: { a: 'succeeded' } })).toThrow('it has not begun');
    expect(() => fork('c', { ...chain, a: { text: 'other' } }, { before: chain })).toThrow(/a, which that needs|b, which that needs/);
    expect(() => fork('c', { ...chain, x: {}, b: { needs: ['a', 'x'] } }, { before: chain })).toThrow('cannot be carried over');
    expect(() => fork('nowhere', chain)).toThrow('has no step "nowhere". Its steps: a, b, c, d.');
  });

  it('goes on with another version whose later steps differ, numbered as that version does', () => {
    const now = { first: {}, ...chain, c: { needs: ['b'], text: 'other' } };
    expect(fork('c', now, { before: chain })).toEqual({ carried: ['a', 'b', 'd'], again: ['first', 'c'], numbers: { a: 1, b: 2, d: 4 } });
  });

  it('asks again for an approval of what runs again, and for all that it covers', () => {
    const gated: Record<string, TestStep> = {
      a: {},
      ask: { needs: ['a'], kind: 'approval' },
      one: { needs: ['a', 'ask'], gate: 'ask' },
      two: { needs: ['a', 'ask'], gate: 'ask' },
    };
    expect(fork('one', gated)).toMatchObject({ carried: ['a'], again: ['ask', 'one', 'two'] });
  });
});
