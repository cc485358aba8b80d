import { describe, expect, it } from 'vitest';
import type { Outcome } from '#core/engine/outcome.ts';
import type { PlanShape, StepShape } from '#schemas/shape.ts';
import { isDecisionNeeded } from './needed.ts';

const step = (needs: number[], more: Partial<StepShape> = {}): StepShape => ({ kind: 'tool', needs, ...more }) as StepShape;
const needed = (steps: StepShape[], outcomes: Record<number, Outcome>): boolean =>
  isDecisionNeeded({ steps } as PlanShape, 0, (number) => outcomes[number] ?? null);

const ask = step([]);
const one = step([0], { gate: 0 });

describe('an approval', () => {
  it('is needed while a step that it covers has not ended', () => {
    const both = [ask, one, step([0], { gate: 0 })];
    expect(needed(both, { 1: 'k' })).toBe(true);
    expect(needed(both, { 1: 'k', 2: 'u' })).toBe(true);
    expect(needed(both, { 1: 'k', 2: 's' })).toBe(false);
  });

  it('is not needed for what is skipped whatever is decided, however far behind what was skipped', () => {
    const chain = [ask, one, step([0, 1], { gate: 0 }), step([2]), step([0, 3], { gate: 0 })];
    expect(needed(chain, { 1: 'k' })).toBe(false);
    expect(needed(chain, { 1: 's' })).toBe(true);
    // What has yet to end changes nothing about that.
    expect(needed([ask, one, step([]), step([0, 1, 2], { gate: 0 })], { 1: 'k' })).toBe(false);
  });

  it('is needed where a step looks at the skip, or at the decision', () => {
    expect(needed([ask, one, step([0, 1], { gate: 0, whenMentions: [1] })], { 1: 'k' })).toBe(true);
    expect(needed([ask, one, step([0])], { 1: 'k' })).toBe(true);
  });

  it('is needed for a fallback whose step may still fail', () => {
    const fallback = [ask, step([]), step([0, 1], { gate: 0, fallbackOf: 1 })];
    expect(needed(fallback, {})).toBe(true);
    expect(needed(fallback, { 1: 's' })).toBe(false);
  });

  it('that covers nothing is about its message', () => {
    expect(needed([ask, step([0])], { 1: 's' })).toBe(true);
  });
});
