import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCursor, decodeNewestFirst, encodeCursor, newestFirstKey, pageOf } from './page.ts';

describe('cursors', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer(), (text, number) => {
        expect(decodeCursor(encodeCursor([text, number]), ['string', 'number'])).toEqual([text, number]);
      }),
    );
    const key = { createdAt: new Date('2031-02-03T04:05:06.789Z'), id: 'run_1' };
    expect(decodeNewestFirst(encodeCursor(newestFirstKey(key)))).toEqual(key);
  });

  it('refuse whatever the list did not give', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(() => decodeCursor(text, ['string', 'string'])).toThrow('The cursor is not one');
      }),
    );
    expect(() => decodeNewestFirst(encodeCursor(['yesterday', 'run_1']))).toThrow('The cursor is not one');
    expect(() => decodeNewestFirst(encodeCursor(['2031-02-03T04:05:06.789Z']))).toThrow('The cursor is not one');
  });
});

describe('pages', () => {
  it('end with a cursor only when there is more', () => {
    const page = (count: number) =>
      pageOf(
        Array.from({ length: count }, (_, index) => index),
        3,
        String,
        (row) => [row],
      );
    expect(page(3)).toEqual({ items: ['0', '1', '2'], nextCursor: null });
    expect(page(4)).toEqual({ items: ['0', '1', '2'], nextCursor: encodeCursor([2]) });
    expect(page(0)).toEqual({ items: [], nextCursor: null });
  });
});
