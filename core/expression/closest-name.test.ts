import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { closestName, didYouMean, editDistance } from './closest-name.ts';

describe('the closest name', () => {
  it.each([
    ['cluser', 'cluster'],
    ['onErorr', 'onError'],
    ['STEPS', 'steps'],
    ['itme', 'item'],
  ])('takes %s for %s', (wrong, meant) => {
    expect(closestName(wrong, ['item', 'cluster', 'steps', 'onError'])).toBe(meant);
  });

  it('says nothing when no name is near', () => {
    expect(didYouMean('banana', ['item', 'cluster'])).toBeUndefined();
    expect(didYouMean('x'.repeat(100), ['x'.repeat(100)])).toBeUndefined();
  });

  it('measures a distance: none to itself, the same both ways, never above its bound by more than one', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), fc.nat(4), (a, b, bound) => {
        expect(editDistance(a, a, bound)).toBe(0);
        expect(editDistance(a, b, bound)).toBe(editDistance(b, a, bound));
        expect(editDistance(a, b, bound)).toBeLessThanOrEqual(bound + 1);
      }),
    );
  });
});
