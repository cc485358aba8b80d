import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PlanGraph } from './plan-graph.ts';
import { divideIntoUnits, type FusableStep, fusionOf, hasQuickItems, longestFusedMs } from './units.ts';

/** `needs[i]` lists who step i needs; steps are given in an order in which needs come first. */
function divide(needs: number[][], fusable: boolean[] = needs.map(() => true), gates: (number | undefined)[] = needs.map(() => undefined)): number[][] {
  const graph: PlanGraph = { needs: needs.map((list) => new Set(list)), gates, whenMentions: needs.map(() => new Set()), fallbackOf: [], fallbacks: [] };
  const steps: FusableStep[] = fusable.map((value) => ({ kind: 'transform', fusable: value }));
  return divideIntoUnits(
    steps,
    graph,
    needs.map((_, number) => number),
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

describe('what may be a member of a chain', () => {
  const candidate = { kind: 'tool' as const, toolEffect: null, items: false, rounds: false, timeoutMs: 60_000 };
  const fuses = (more: Partial<Parameters<typeof fusionOf>[1]>): string =>
    (['none', 'pure', 'effects'] as const).filter((fuse) => fusionOf(fuse, { ...candidate, ...more })).join(' ');

  it.each([
    { what: 'a transform', more: { kind: 'transform' as const }, by: 'pure effects' },
    { what: 'a pure tool', more: { toolEffect: 'pure' as const }, by: 'pure effects' },
    { what: 'an idempotent tool', more: { toolEffect: 'idempotent' as const }, by: 'effects' },
    { what: 'a model call', more: { kind: 'llm' as const }, by: 'effects' },
    { what: 'an artifact', more: { kind: 'artifact' as const }, by: 'effects' },
    { what: 'an effectful tool', more: { toolEffect: 'effectful' as const }, by: '' },
    { what: 'a tool that is not installed', more: {}, by: '' },
    { what: 'a wait', more: { kind: 'wait' as const }, by: '' },
    { what: 'an approval', more: { kind: 'approval' as const }, by: '' },
    { what: 'items', more: { kind: 'transform' as const, items: true }, by: '' },
    { what: 'rounds', more: { kind: 'transform' as const, rounds: true }, by: '' },
    { what: 'a model call that may take long', more: { kind: 'llm' as const, timeoutMs: longestFusedMs + 1 }, by: '' },
  ])('$what: $by', ({ more, by }) => {
    expect(fuses(more)).toBe(by);
  });
});

describe('whose items may be done in one go', () => {
  const list = { kind: 'tool' as const, toolEffect: 'pure' as const, items: true, rounds: false, timeoutMs: 60_000 };

  it.each([
    { what: 'a quick pure tool', more: {}, quick: true, yes: true },
    { what: 'a pure tool that may take long', more: {}, quick: false, yes: false },
    { what: 'a transform', more: { kind: 'transform' as const, toolEffect: null }, quick: false, yes: true },
    { what: 'a quick tool with effects', more: { toolEffect: 'idempotent' as const }, quick: true, yes: false },
    { what: 'rounds of each', more: { rounds: true }, quick: true, yes: false },
    { what: 'a step without items', more: { items: false }, quick: true, yes: false },
  ])('$what: $yes', ({ more, quick, yes }) => {
    const judged = (['none', 'pure', 'effects'] as const).map((fuse) => hasQuickItems(fuse, { ...list, ...more }, quick));
    expect(judged).toEqual([false, yes, yes]);
  });
});
