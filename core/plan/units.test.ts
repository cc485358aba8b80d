import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PlanGraph } from './graph.ts';
import { divideIntoUnits, type FusableStep } from './units.ts';

/** `needs[i]` lists who step i needs; steps are given in an order in which needs come first. */
function divide(needs: number[][], fusable: boolean[] = needs.map(() => true), gates: (number | undefined)[] = needs.map(() => undefined)): number[][] {
  const graph: PlanGraph = { needs: needs.map((list) => new Set(list)), gates, whenMentions: needs.map(() => new Set()) };
  const steps: FusableStep[] = fusable.map((value) => ({ kind: 'transform', fusable: value }));
  return divideIntoUnits(
    steps,
    graph,
    needs.map((_, number) => number),
    true,
  );
}

describe('units', () => {
  it('fuse a chain', () => {
    expect(divide([[], [0], [1], [2]])).toEqual([[0, 1, 2, 3]]);
  });

  it('fuse a step that needs several members of the chain', () => {
    expect(divide([[], [0], [0, 1]])).toEqual([[0, 1, 2]]);
  });

  it('leave branches apart, so that neither waits for the other', () => {
    expect(divide([[], [0], [0], [1, 2]])).toEqual([[0], [1], [2], [3]]);
  });

  it('end where somebody outside waits for a member', () => {
    expect(divide([[], [0], [1], [0]], [true, true, true, false])).toEqual([[0], [1, 2], [3]]);
  });

  it('end before a step that needs something else', () => {
    expect(divide([[], [], [0, 1]])).toEqual([[0], [1], [2]]);
  });

  it('leave gated and impure steps alone', () => {
    expect(divide([[], [0], [1]], [true, false, true])).toEqual([[0], [1], [2]]);
    expect(divide([[], [0]], undefined, [undefined, 0])).toEqual([[0], [1]]);
  });

  it('are 200 steps at most', () => {
    expect(divide(Array.from({ length: 450 }, (_, index) => (index === 0 ? [] : [index - 1]))).map((unit) => unit.length)).toEqual([200, 200, 50]);
  });

  it('never delay anybody: who needs a member needs all that comes after it in the unit, or is in it', () => {
    const graphs = fc
      .array(fc.array(fc.nat(20), { maxLength: 3 }), { minLength: 1, maxLength: 20 })
      .map((lists) => lists.map((list, index) => [...new Set(list.filter((need) => need < index))]));
    fc.assert(
      fc.property(graphs, fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }), (needs, fusable) => {
        const units = divide(needs, fusable.slice(0, needs.length));
        expect(units.flat().toSorted((a, b) => a - b)).toEqual(needs.map((_, index) => index));
        for (const unit of units) {
          for (const [position, member] of unit.entries()) {
            for (const [outsider, own] of needs.entries()) {
              if (unit.includes(outsider) || !own.includes(member)) continue;
              expect(unit.slice(position + 1).every((later) => own.includes(later))).toBe(true);
            }
          }
        }
      }),
    );
  });
});
