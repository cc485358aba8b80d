import { describe, expect, it } from 'vitest';
import { digestBody, parseIdempotencyKey } from './idempotency.ts';

describe('Idempotency-Key', () => {
  it('is the same bare and quoted', () => {
    expect(parseIdempotencyKey('"8e03978e-40d5"')).toBe('8e03978e-40d5');
    expect(parseIdempotencyKey('  8e03978e-40d5 ')).toBe('8e03978e-40d5');
    expect(parseIdempotencyKey('"a\\"b\\\\c"')).toBe('a"b\\c');
  });

  it('is refused when it is missing, blank, too long or not printable', () => {
    expect(() => parseIdempotencyKey(undefined)).toThrow('needs the header Idempotency-Key');
    expect(() => parseIdempotencyKey('  ')).toThrow('needs the header Idempotency-Key');
    for (const key of ['""', 'a b', 'x'.repeat(256), 'ü']) expect(() => parseIdempotencyKey(key)).toThrow('1 to 255 visible ASCII');
  });
});

describe('body digests', () => {
  it('see through the order of members and the spelling of numbers', () => {
    expect(digestBody({ a: 1, b: [true, null] })).toBe(digestBody(JSON.parse('{ "b": [true, null], "a": 1.0 }')));
    expect(digestBody({ a: 1 })).not.toBe(digestBody({ a: '1' }));
    expect(digestBody(undefined)).toBe(digestBody(null));
  });
});

it('refuses a body with half of a character instead of failing at it', () => {
  expect(() => digestBody({ input: { text: '\ud83d' } })).toThrow(expect.objectContaining({ code: 'text_malformed', status: 422 }));
});
