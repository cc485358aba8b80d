import { describe, expect, it } from 'vitest';
import { type ApiDocument, breaksOf } from './api-breaks.ts';
import type { JsonSchema } from './schema-fit.ts';

const body = (properties: Record<string, JsonSchema>, required: string[] = []): JsonSchema => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});
const text: JsonSchema = { type: 'string' };

interface Shape {
  request?: JsonSchema;
  answer?: JsonSchema;
  query?: { name: string; required: boolean; schema: JsonSchema }[];
  permission?: string;
  status?: string;
}

const api = ({ request, answer = body({ id: text }, ['id']), query = [], permission = 'runs:read', status = '200' }: Shape = {}): ApiDocument => ({
  paths: {
    '/v1/things': {
      post: {
        'x-permission': permission,
        parameters: query.map((parameter) => ({ ...parameter, in: 'query' })),
        ...(request === undefined ? {} : { requestBody: { content: { 'application/json': { schema: request } } } }),
        responses: { [status]: { content: { 'application/json': { schema: answer } } } },
      },
    },
  },
  components: { schemas: { Tree: { type: 'object', properties: { name: text, children: { type: 'array', items: { $ref: '#/components/schemas/Tree' } } } } } },
});

const breaks = (before: Shape, after: Shape): string[] => breaksOf(api(before), api(after));

describe('a change of the API breaks clients', () => {
  it.each<[string, Shape, Shape, RegExp]>([
    ['a field that is needed now', { request: body({ a: text }) }, { request: body({ a: text, b: text }, ['b']) }, /the body\/b is required/],
    ['a field that is not taken any more', { request: body({ a: text }) }, { request: body({}) }, /\/a is not taken any more/],
    ['another type', { request: body({ a: text }) }, { request: body({ a: { type: 'integer' } }) }, /\/a is string on one side, integer/],
    [
      'a word that is not taken any more',
      { request: body({ a: { type: 'string', enum: ['x', 'y'] } }) },
      { request: body({ a: { type: 'string', enum: ['x'] } }) },
      /knows y/,
    ],
    [
      'a tighter bound',
      { request: body({ a: { type: 'string', maxLength: 9 } }) },
      { request: body({ a: { type: 'string', maxLength: 8 } }) },
      /maxLength is tighter/,
    ],
    [
      'another pattern',
      { request: body({ a: { type: 'string', pattern: '^a' } }) },
      { request: body({ a: { type: 'string', pattern: '^b' } }) },
      /another pattern/,
    ],
    ['a body where none was', {}, { request: body({ a: text }, ['a']) }, /a body is needed now/],
    ['a parameter that is needed now', {}, { query: [{ name: 'q', required: true, schema: text }] }, /query q is required now/],
    ['a parameter that is gone', { query: [{ name: 'q', required: false, schema: text }] }, {}, /query q is gone/],
    ['another permission', {}, { permission: 'runs:delete' }, /the permission is runs:delete, was runs:read/],
    ['a field that is not given any more', { answer: body({ id: text, a: text }, ['id', 'a']) }, {}, /the answer 200\/a is required/],
    ['a field that may be missing now', { answer: body({ a: text }, ['a']) }, { answer: body({ a: text }) }, /\/a is required/],
    ['a field that may be null now', { answer: body({ a: text }, ['a']) }, { answer: body({ a: { type: ['string', 'null'] } }, ['a']) }, /string or null/],
    ['another status', {}, { status: '201' }, /the answer 200 is gone/],
    ['items of another type', { answer: { type: 'array', items: text } }, { answer: { type: 'array', items: { type: 'integer' } } }, /\/\[\] is integer/],
  ])('%s', (_what, before, after, expected) => {
    const found = breaks(before, after);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
    expect(found[0]).toContain('POST /v1/things');
  });

  it('a route that is gone', () => {
    expect(breaksOf(api(), { paths: {} })).toEqual(['POST /v1/things is gone']);
  });
});

describe('a change of the API breaks nobody', () => {
  it.each<[string, Shape, Shape]>([
    ['a field more in a request', { request: body({ a: text }) }, { request: body({ a: text, b: text }) }],
    ['a wider bound', { request: body({ a: { type: 'string', maxLength: 8 } }) }, { request: body({ a: { type: 'string', maxLength: 9 } }) }],
    ['a word more in a request', { request: body({ a: { type: 'string', enum: ['x'] } }) }, { request: body({ a: { type: 'string', enum: ['x', 'y'] } }) }],
    ['an optional body where none was', {}, { request: body({ a: text }) }],
    ['an alternative more', { request: body({ a: text }) }, { request: { anyOf: [body({ a: text }), body({ b: text }, ['b'])] } }],
    ['a field more in an answer', {}, { answer: body({ id: text, more: text }, ['id', 'more']) }],
    ['a word more in an answer', { answer: { type: 'string', enum: ['x'] } }, { answer: { type: 'string', enum: ['x', 'y'] } }],
    ['an answer that is never null any more', { answer: body({ a: { type: ['string', 'null'] } }, ['a']) }, { answer: body({ a: text }, ['a']) }],
    ['a schema that holds itself', { answer: { $ref: '#/components/schemas/Tree' } }, { answer: { $ref: '#/components/schemas/Tree' } }],
  ])('%s', (_what, before, after) => {
    expect(breaks(before, after)).toEqual([]);
  });
});
