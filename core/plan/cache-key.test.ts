import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '#core/expression/values.ts';
import type { Json } from '#schemas/json.ts';
import { cacheKeyOf, type Performer, type Reusable } from './cache-key.ts';

const performer: fc.Arbitrary<Performer> = fc.oneof(
  fc.record({ tool: fc.constantFrom('http.fetch', 'fs.read'), version: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ model: fc.constantFrom('openai/a', 'openai/b') }),
  fc.record({ transform: fc.constantFrom<Json>('${input.a}', { b: '${input.b}' }) }),
);
const small: fc.Arbitrary<Json> = fc.oneof(
  fc.integer({ min: 0, max: 2 }),
  fc.constant('secret://token'),
  fc.dictionary(fc.constantFrom('a', 'b'), fc.integer({ min: 0, max: 1 })),
);
const reusable: fc.Arbitrary<Reusable> = fc.record({
  plan: fc.constantFrom('one', 'two'),
  scope: fc.constantFrom('plan' as const, 'workspace' as const),
  by: performer,
  input: small,
});

/** What must be equal for two steps to share an output. */
const hangsOn = ({ plan, scope, by, input }: Reusable): string => canonicalJson([scope === 'workspace' ? null : plan, { ...by }, input]);

describe('the key of a kept output', () => {
  it('is equal exactly where all is equal that the output hangs on', () => {
    fc.assert(
      fc.property(reusable, reusable, (one, other) => {
        expect(cacheKeyOf(one) === cacheKeyOf(other)).toBe(hangsOn(one) === hangsOn(other));
      }),
      { numRuns: 2_000 },
    );
  });

  it('does not hang on the order of keys', () => {
    const of = (input: Json) => cacheKeyOf({ plan: 'one', scope: 'plan', by: { model: 'openai/a' }, input });
    expect(of({ a: 1, b: 2 })).toBe(of({ b: 2, a: 1 }));
  });

  it('is none for what has no canonical form', () => {
    expect(cacheKeyOf({ plan: 'one', scope: 'plan', by: { model: 'openai/a' }, input: '\ud800' })).toBeNull();
  });
});
