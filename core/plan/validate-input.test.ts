import { describe, expect, it } from 'vitest';
import type { Json } from '#schemas/json.ts';
import { coerceInput } from './coerce-input.ts';
import { checkInputSchema } from './input-schema.ts';
import { typeFromSchema } from '#core/expression/static-type.ts';
import { isCheapToCheck, validateJson } from './json-schema.ts';
import { withLanguageServerLine } from './language-server.ts';
import { validateInput } from './validate-input.ts';

const schema: Json = {
  type: 'object',
  required: ['path'],
  additionalProperties: false,
  properties: {
    path: { type: 'string', minLength: 1 },
    limit: { type: 'integer', minimum: 1, default: 20 },
    options: { type: 'object', default: {}, properties: { deep: { type: 'boolean', default: true } } },
    rows: { type: 'array', items: { type: 'object', properties: { level: { type: 'string', default: 'info' } } } },
    when: { type: 'string', format: 'date-time' },
    level: { enum: ['info', 'error'] },
    node: { $ref: '#/$defs/node' },
  },
  $defs: { node: { type: 'object', properties: { name: { type: 'string', default: 'leaf' }, next: { $ref: '#/$defs/node' } } } },
};

describe('input', () => {
  it('gets its defaults, also inside of what is there', () => {
    const given = { path: '/var/log', rows: [{}, { level: 'error' }], node: { next: {} } };
    expect(validateInput(schema, given)).toEqual({
      ok: true,
      input: {
        path: '/var/log',
        limit: 20,
        options: { deep: true },
        rows: [{ level: 'info' }, { level: 'error' }],
        node: { name: 'leaf', next: { name: 'leaf' } },
      },
    });
    expect(given).toEqual({ path: '/var/log', rows: [{}, { level: 'error' }], node: { next: {} } });
  });

  it.each<[Json, string, RegExp]>([
    [{}, '', /path/],
    [{ path: 5 }, '/path', /type/],
    [{ path: 'a', limit: 0 }, '/limit', /less than 1/],
    [{ path: 'a', limt: 3 }, '/limt', /not known to the schema/],
    [{ path: 'a', rows: [{}, { level: 3 }] }, '/rows/1/level', /type/],
    [{ path: 'a', when: 'yesterday' }, '/when', /format/],
    [{ path: 'a', level: 'warn' }, '/level', /info/],
    [[], '', /must be an object/],
    [null, '', /must be an object/],
  ])('%j is refused', (input, pointer, message) => {
    const result = validateInput(schema, input);
    expect(result.ok ? [] : result.faults).toContainEqual(expect.objectContaining({ pointer, message: expect.stringMatching(message) as string }));
  });

  it('is empty where the plan takes none', () => {
    expect(validateInput(null, undefined)).toEqual({ ok: true, input: {} });
    expect(validateInput(null, { a: 1 })).toMatchObject({ ok: false, faults: [{ pointer: '/a', message: 'the plan takes no input' }] });
  });

  it('does not fall for a key named __proto__', () => {
    const result = validateInput({ type: 'object' }, JSON.parse('{"__proto__": {"admin": true}}') as Json);
    expect(result.ok && Object.hasOwn(result.input, '__proto__')).toBe(true);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it('survives a schema that refers to itself without end', () => {
    expect(validateJson({ $ref: '#' }, 1)).toMatchObject([{ message: expect.stringContaining('cannot be applied') as string }]);
  });
});

describe('input schemas', () => {
  it('are taken as they should be', () => {
    expect(checkInputSchema(schema)).toEqual([]);
    expect(checkInputSchema({ type: 'string', enum: ['a'] }, { anyType: true })).toEqual([]);
  });

  it.each<[Json, string, RegExp]>([
    [{ type: 'string' }, '/type', /input is an object/],
    [{ type: 'object', propertees: {} }, '/propertees', /unknown schema keyword/],
    [{ type: 'object', properties: { a: { type: 'text' } } }, '/properties/a/type', /no type "text"/],
    [{ type: 'object', required: 'a' }, '/required', /list of names/],
    [{ type: 'object', properties: { a: { pattern: '(' } } }, '/properties/a/pattern', /Invalid regular expression/],
    [{ type: 'object', properties: { a: { $ref: 'https://example.org/schema' } } }, '/properties/a/$ref', /only point into this schema/],
    [{ type: 'object', properties: { a: { $ref: '#/$defs/none' } } }, '/properties/a/$ref', /leads nowhere/],
    [{ type: 'object', properties: { a: { type: 'integer', default: 'x' } } }, '/properties/a/default', /does not fit/],
    [{ type: 'object', minProperties: -1 }, '/minProperties', /whole number/],
    [{ type: 'object', properties: [] }, '/properties', /object of schemas/],
    [{ type: 'object', allOf: [] }, '/allOf', /list of schemas/],
    [{ type: 'object', properties: { a: 'string' } }, '/properties/a', /a schema is an object/],
  ])('%j is refused', (wrong, pointer, message) => {
    expect(checkInputSchema(wrong)).toContainEqual(expect.objectContaining({ pointer, message: expect.stringMatching(message) as string }));
  });
});

describe('references', () => {
  it.each(['#/$defs/%', '#/$defs/a%E0%A4', '#/__proto__', '#/$defs/constructor'])('%s leads nowhere', ($ref) => {
    const schema: Json = { type: 'object', properties: { a: { $ref } }, $defs: { b: {} } };
    expect(checkInputSchema(schema)).toMatchObject([{ pointer: '/properties/a/$ref', message: expect.stringContaining('leads nowhere') as string }]);
  });

  it('that multiply with every level keep no check busy', () => {
    const alternatives = { anyOf: Array.from({ length: 100 }, () => ({ $ref: '#/$defs/a' })) };
    const schema: Json = { type: 'object', properties: { a: { $ref: '#/$defs/a' } }, $defs: { a: alternatives } };
    const started = performance.now();
    expect(typeFromSchema(schema)).toMatchObject({ kind: 'object' });
    expect(coerceInput(schema, { a: 'x' }, 'sample')).toEqual({ a: 'x' });
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(isCheapToCheck(schema, {}, 1_000_000)).toBe(false);
  });

  it('are not mistaken for properties of that name', () => {
    expect(isCheapToCheck({ type: 'object', properties: { $ref: { type: 'string' }, pattern: { type: 'string' } } }, {}, 1_000)).toBe(true);
  });
});

it('an input schema cannot keep its check busy with a pattern', () => {
  const trap: Json = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } }, default: { a: `${'a'.repeat(60)}!` } };
  const started = performance.now();
  expect(checkInputSchema(trap)).toEqual([]);
  expect(performance.now() - started).toBeLessThan(10_000);
});

describe('input from a command line', () => {
  const typed: Json = {
    type: 'object',
    properties: {
      text: { type: 'string' },
      count: { type: 'integer' },
      ratio: { type: 'number' },
      flag: { type: 'boolean' },
      list: { type: 'array' },
      maybe: { type: ['integer', 'null'] },
      either: { anyOf: [{ type: 'integer' }, { type: 'string' }] },
      level: { enum: ['1', '2'] },
      free: {},
    },
  };

  it('is typed by the schema', () => {
    const pairs = { text: '5', count: '100', ratio: '0.5', flag: 'true', list: '[1,2]', maybe: 'null', either: '7', level: '2', free: '{"a":1}' };
    expect(coerceInput(typed, pairs, 'sample')).toEqual({
      text: '5',
      count: 100,
      ratio: 0.5,
      flag: true,
      list: [1, 2],
      maybe: null,
      either: 7,
      level: '2',
      free: { a: 1 },
    });
    expect(coerceInput(typed, { either: 'seven', free: 'plain' }, 'sample')).toEqual({ either: 'seven', free: 'plain' });
    expect(coerceInput(null, { a: '1' }, 'sample')).toEqual({ a: 1 });
  });

  it.each<[Record<string, string>, RegExp]>([
    [{ count: 'many' }, /"count" must be an integer, and "many" is not/],
    [{ count: '1.5' }, /must be an integer/],
    [{ flag: 'yes' }, /must be true or false/],
    [{ list: '1' }, /a JSON list/],
    [{ cuont: '1' }, /takes no input "cuont"/],
  ])('%j is refused', (pairs, message) => {
    expect(() => coerceInput(typed, pairs, 'sample')).toThrow(
      expect.objectContaining({ code: 'input_invalid', message: expect.stringMatching(message) as string }),
    );
  });

  it('suggests the name that was meant', () => {
    expect(() => coerceInput(typed, { cuont: '1' }, 'sample')).toThrow(expect.objectContaining({ fix: 'did you mean "count"?' }));
    expect(() => coerceInput({ type: 'object', properties: { path: {} } }, { bogus: '1' }, 'sample')).toThrow(
      expect.objectContaining({ fix: 'Leave it out, or give what the plan takes: path' }),
    );
    expect(() => coerceInput(typed, { count: 'x' }, 'sample')).toThrow(expect.objectContaining({ fix: 'See the input of the plan with: kai plan get sample' }));
    expect(() => coerceInput({ type: 'object', properties: {} }, { bogus: '1' }, 'sample')).toThrow(
      expect.objectContaining({ fix: 'Leave it out: the plan takes no input.' }),
    );
  });
});

describe('the line for editors', () => {
  it('is put first, once', () => {
    const once = withLanguageServerLine('plan: a\n', 'http://127.0.0.1:3000/v1/plan.schema.json');
    expect(once).toBe('# yaml-language-server: $schema=http://127.0.0.1:3000/v1/plan.schema.json\nplan: a\n');
    expect(withLanguageServerLine(once, 'https://kos.example/s')).toBe('# yaml-language-server: $schema=https://kos.example/s\nplan: a\n');
    expect(withLanguageServerLine('# note\n# yaml-language-server: $schema=x\r\nplan: a', 'y')).toBe('# yaml-language-server: $schema=y\n# note\nplan: a');
  });
});
