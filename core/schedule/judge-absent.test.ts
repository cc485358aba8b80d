import fc from 'fast-check';
import { expect, it } from 'vitest';
import { judgeAbsent } from './judge-absent.ts';

const counts = fc.record({ missed: fc.nat(5), skipped: fc.nat(5), buffered: fc.nat(2), givenUp: fc.boolean() });
const starts = fc.uniqueArray(fc.nat(1_000), { maxLength: 10 }).map((times) => times.map((atMs) => ({ atMs })));

it('every start that did not come is judged once, and what may still come is never called missed', () => {
  fc.assert(
    fc.property(starts, counts, (absent, given) => {
      const { missed, skipped, open } = judgeAbsent(absent, given);
      expect(new Set([...missed, ...skipped, ...open])).toEqual(new Set(absent));
      expect(missed.length + skipped.length + open.length).toBe(absent.length);
      expect(skipped.length).toBe(Math.min(given.skipped, Math.max(0, absent.length - given.missed)));
      if (given.givenUp && given.buffered === 0) expect(open).toEqual([]);
      else expect(missed.length).toBe(Math.min(given.missed, absent.length));
    }),
  );
});
