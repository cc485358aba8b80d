import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '#schemas/json.ts';
import { diffPlans, type Installed } from './diff.ts';
import { loadPlan } from './load.ts';

const prices: Record<string, number> = { fast: 1, smart: 5, free: 0 };
const installed: Installed = {
  effects: new Map([['fs.write', 'idempotent']]),
  currency: 'USD',
  pricing: (model) => {
    const dollars = prices[model];
    if (dollars === undefined) return { resolvesTo: null, price: null };
    return { resolvesTo: `openai/${model}`, price: { inputMicros: dollars * 1e6, cachedInputMicros: 0, outputMicros: dollars * 4e6 } };
  },
};
const plan = (steps: JsonObject, more: JsonObject = {}) => loadPlan({ plan: 'a', steps, ...more });
const diff = (from: JsonObject, to: JsonObject) => diffPlans(plan(from), plan(to), installed);

/** Without what begins an expression: that one is refused has a test of its own. */
const aValue = fc.jsonValue({ maxDepth: 1, stringUnit: fc.constantFrom('a', 'b', '0', ' ', 'é') });
const aStep = fc.oneof(
  fc.record({ transform: aValue }),
  fc.record({ tool: fc.constantFrom('fs.write', 'other.tool'), timeoutMs: fc.integer({ min: 1, max: 9 }) }),
  fc.record({
    llm: fc.record({ model: fc.constantFrom('fast', 'smart'), prompt: fc.constant('x') }),
    retry: fc.record({ maxAttempts: fc.integer({ min: 1, max: 5 }) }),
  }),
  fc.record({ approval: fc.record({ message: fc.constant('?'), required: fc.integer({ min: 1, max: 3 }), fourEyes: fc.boolean() }) }),
);
const someSteps = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), aStep, { minKeys: 1, noNullPrototype: true }) as fc.Arbitrary<JsonObject>;

describe('a diff of plans', () => {
  it('of equal plans is empty, in whatever order their steps stand', () => {
    fc.assert(
      fc.property(someSteps, (steps) => {
        const turned = Object.fromEntries(Object.entries(steps).toReversed());
        expect(diff(steps, turned)).toMatchObject({ equal: true, header: [], steps: [], approvals: [] });
      }),
    );
  });

  it('turned round says the opposite', () => {
    fc.assert(
      fc.property(someSteps, someSteps, (from, to) => {
        const [there, back] = [diff(from, to), diff(to, from)];
        const ids = (one: typeof there, change: string) =>
          one.steps
            .filter((step) => step.change === change)
            .map(({ id }) => id)
            .toSorted();
        expect(ids(there, 'added')).toEqual(ids(back, 'removed'));
        expect(ids(there, 'changed')).toEqual(ids(back, 'changed'));
        const opposite = { loosened: 'tightened', tightened: 'loosened', mixed: 'mixed' } as const;
        const verdicts = (one: typeof there) => new Map(one.approvals.map(({ id, verdict }) => [id, verdict]));
        for (const [id, verdict] of verdicts(there)) expect(verdicts(back).get(id)).toBe(opposite[verdict]);
        expect(there.modelCalls).toEqual({ from: back.modelCalls.to, to: back.modelCalls.from });
      }),
    );
  });

  it('takes a default that is written out for what it is', () => {
    const from = { a: { transform: 1 }, ask: { approval: { message: '?' } } };
    const to = {
      a: { transform: 1, timeoutMs: 60_000, retry: { maxAttempts: 3 }, onError: 'fail' },
      ask: { approval: { message: '?', required: 1, from: 'role:approver' } },
    };
    expect(diff(from, to).equal).toBe(true);
    expect(diffPlans(plan(from, { fuse: 'pure' }), plan(from), installed).equal).toBe(true);
  });

  it('names fields, effects and models', () => {
    const call = (model: string) => ({ llm: { model, prompt: 'x' } });
    const found = diff({ a: call('fast') }, { a: call('smart'), w: { tool: 'fs.write', with: { path: 'x' } }, u: { tool: 'none.such' } });
    expect(found.steps).toEqual([
      { id: 'a', kind: 'llm', model: 'smart', change: 'changed', changes: [{ field: 'llm.model', from: 'fast', to: 'smart' }] },
      { id: 'w', kind: 'tool', tool: 'fs.write', effect: 'idempotent', change: 'added', changes: [] },
      { id: 'u', kind: 'tool', tool: 'none.such', effect: 'unknown', change: 'added', changes: [] },
    ]);
    expect(found.modelCalls).toEqual({ from: 3, to: 3 });
    expect(diff({ a: call('fast') }, { a: { ...call('fast'), forEach: '${[1]}' } }).modelCalls).toEqual({ from: 3, to: null });
  });

  it('says what calls of models cost, before and after: price, calls, and what their output costs at most', () => {
    const call = (model: string, more: JsonObject = {}, step: JsonObject = {}) => ({ llm: { model, prompt: 'x', ...more }, ...step });
    const { cost } = diff({ a: call('fast'), b: call('free'), c: call('smart') }, { a: call('smart'), b: call('free'), d: call('other') });
    expect(cost).toMatchObject({ currency: 'USD', outputMicrosAtMost: { from: null, to: null } });
    expect(cost.steps.map(({ id, from, to }) => [id, from?.price?.inputMicros, to?.price?.inputMicros])).toEqual([
      ['a', 1_000_000, 5_000_000],
      ['d', undefined, undefined],
      ['c', 5_000_000, undefined],
    ]);
    expect(cost.steps[1]).toMatchObject({ from: null, to: { model: 'other', resolvesTo: null, price: null, callsAtMost: 3 } });
    const bounded = { maxOutputTokens: 1_000 };
    // 3 attempts of at most 1,000 tokens at 4 and 20 dollars a million; two items of them.
    const more = diff({ a: call('fast', bounded) }, { a: call('smart', bounded, { forEach: [1, 2] }), b: call('free') });
    expect(more.cost.outputMicrosAtMost).toEqual({ from: 12_000, to: 120_000 });
    expect(more.cost.steps[0]).toMatchObject({ from: { callsAtMost: 3 }, to: { callsAtMost: 6 } });
    expect(diff({ a: call('fast', bounded) }, { a: call('fast', bounded), b: { plan: 'other', with: {} } }).cost.outputMicrosAtMost.to).toBe(null);
  });

  it('says what loosens and what tightens an approval', () => {
    const ask = (options: JsonObject, more: JsonObject = {}) => ({ w: { transform: 1 }, ask: { approval: { message: '?', ...options }, ...more } });
    const verdict = (from: JsonObject, to: JsonObject) => diff(from, to).approvals.map((one) => one.verdict);
    expect(verdict(ask({ required: 2 }), ask({}))).toEqual(['loosened']);
    expect(verdict(ask({}), ask({ fourEyes: true }))).toEqual(['tightened']);
    expect(verdict(ask({ for: ['w'] }), ask({}))).toEqual(['loosened']);
    expect(verdict(ask({}), ask({ from: 'role:admin' }))).toEqual(['tightened']);
    expect(verdict(ask({}), ask({ from: ['role:approver', 'role:admin'] }))).toEqual([]);
    expect(verdict(ask({}), ask({ escalate: [{ afterMs: 1000, to: 'role:viewer' }] }))).toEqual(['loosened']);
    expect(verdict(ask({}), ask({}, { when: '${false}' }))).toEqual(['loosened']);
    expect(verdict(ask({ required: 2 }), ask({ fourEyes: true }))).toEqual(['mixed']);
    expect(verdict(ask({}), { w: { transform: 1 } })).toEqual(['loosened']);
    expect(verdict(ask({}), ask({ expiresInMs: 5000 }))).toEqual([]);
  });
});
