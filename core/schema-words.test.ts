import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { faultDetailsOf, inPlainWords } from './schema-words.ts';

const schema = z.strictObject({
  days: z.int().min(1).max(365).optional(),
  share: z.number().gt(0).lt(1).optional(),
  even: z.number().multipleOf(2).optional(),
  name: z.string().min(1).max(5).optional(),
  code: z.string().min(3).optional(),
  roots: z.array(z.string()).max(2).min(1).optional(),
  mode: z.enum(['fast', 'slow']).optional(),
  one: z.literal('only').optional(),
  on: z.boolean().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  at: z.iso.datetime().optional(),
  url: z.url().optional(),
  head: z.string().startsWith('ws_').optional(),
  shape: z
    .string()
    .regex(/^[a-z]+$/)
    .optional(),
  said: z
    .string()
    .regex(/^[a-z]+$/, 'a label has only lower-case letters')
    .optional(),
  either: z.union([z.strictObject({ a: z.int().min(0) }), z.string().min(2)]).optional(),
  onError: z.union([z.enum(['fail', 'continue']), z.strictObject({ value: z.int() }), z.strictObject({ step: z.string() })]).optional(),
  flag: z.union([z.literal('auto, not on'), z.boolean()]).optional(),
  count: z.coerce.number().int().optional(),
  kind: z.discriminatedUnion('is', [z.object({ is: z.literal('x') }), z.object({ is: z.literal('y') })]).optional(),
});

const said = (value: object): string[] => {
  const parsed = schema.safeParse(value, { error: inPlainWords });
  if (parsed.success) return [];
  return faultDetailsOf(parsed.error).map(({ pointer, message }) => `${pointer} ${message}`);
};

describe('what a schema finds is said in plain words', () => {
  test.each<[object, string]>([
    [{ days: 0 }, '/days must be at least 1, not 0'],
    [{ days: 400 }, '/days must be at most 365, not 400'],
    [{ days: 1.5 }, '/days must be a whole number, not 1.5'],
    [{ days: 'many' }, '/days must be a number, not text'],
    [{ share: 0 }, '/share must be more than 0, not 0'],
    [{ share: 1 }, '/share must be less than 1, not 1'],
    [{ even: 3 }, '/even must be a multiple of 2'],
    [{ name: '' }, '/name must not be empty'],
    [{ name: 'secret' }, '/name must have at most 5 characters'],
    [{ code: 'x' }, '/code must have at least 3 characters'],
    [{ roots: ['a', 'b', 'c'] }, '/roots must have at most 2 entries'],
    [{ roots: 'a' }, '/roots must be a list, not text'],
    [{ mode: 'quick' }, '/mode must be one of "fast", "slow"'],
    [{ one: 'other' }, '/one must be "only"'],
    [{ on: null }, '/on must be true or false, not nothing'],
    [{ labels: ['a'] }, '/labels is a map of names, not a list'],
    [{ at: 'tomorrow' }, '/at must be an instant, as in 2031-01-31T09:00:00Z'],
    [{ url: 'nowhere' }, '/url must be a URL'],
    [{ head: 'x' }, '/head must begin with "ws_"'],
    [{ shape: 'X' }, '/shape must match /^[a-z]+$/'],
    [{ said: 'X' }, '/said a label has only lower-case letters'],
    [{ 'un/known': 1 }, '/un~1known is not known here'],
    [{ either: { a: -1 } }, '/either/a must be at least 0, not -1'],
    [{ either: 'x' }, '/either must have at least 2 characters'],
    [{ either: {} }, '/either/a is missing'],
    [{ either: 3 }, '/either must be an object or text, not 3'],
    [{ mode: 5 }, '/mode must be one of "fast", "slow", not 5'],
    [{ onError: 5 }, '/onError must be one of "fail", "continue" or an object, not 5'],
    [{ onError: null }, '/onError must be one of "fail", "continue" or an object, not nothing'],
    [{ onError: 'stop' }, '/onError must be one of "fail", "continue"'],
    [{ onError: { value: 'x' } }, '/onError/value must be a number, not text'],
    [{ onError: 'a, not b' }, '/onError must be one of "fail", "continue"'],
    [{ flag: [] }, '/flag must be "auto, not on" or true or false, not a list'],
    [{ flag: 'on' }, '/flag must be "auto, not on"'],
    [{ count: 'abc' }, '/count must be a number'],
    [{ count: '1.5' }, '/count must be a whole number, not 1.5'],
    [{ kind: { is: 'z' } }, '/kind/is has no form that is allowed here'],
  ])('%j', (value, words) => {
    expect(said(value)).toEqual([words]);
  });

  test('all at once', () => {
    expect(said({ days: 0, name: '', other: 1 })).toEqual(['/days must be at least 1, not 0', '/name must not be empty', '/other is not known here']);
  });
});
