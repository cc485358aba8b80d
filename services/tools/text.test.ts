import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { validateJson } from '#core/plan/json-schema.ts';
import { executeTool } from '#services/tools/execute.ts';
import { jsonTools } from '#services/tools/json.ts';
import { createToolRegistry } from '#services/tools/registry.ts';
import { textTools } from '#services/tools/text.ts';
import { failureOf, toolContext } from '#services/tools/tool.conformance.ts';
import type { Tool } from '#services/tools/tool.ts';

const registry = createToolRegistry([...textTools, ...jsonTools(async (schema, value) => validateJson(schema, value))]);
const context = toolContext({ roots: [], egress: [] });
const tool = (name: string): Tool => {
  const found = registry.get(name);
  if (found === undefined) throw new Error(`no tool ${name}`);
  return found;
};
const run = (name: string, input: unknown): Promise<unknown> => executeTool(tool(name), input, context);

describe('text tools', () => {
  it.each([
    ['text.lines', { text: '' }, { lines: [] }],
    ['text.lines', { text: 'a\r\nb\n\nc' }, { lines: ['a', 'b', '', 'c'] }],
    ['text.lines', { text: 'a\n \nb\n', skipEmpty: true }, { lines: ['a', 'b'] }],
    ['text.split', { text: 'a--b--', separator: '--' }, { parts: ['a', 'b', ''] }],
    ['text.truncate', { text: '😀😀😀😀', maxCharacters: 3 }, { text: '😀😀…', truncated: true }],
    ['text.truncate', { text: 'short', maxCharacters: 5 }, { text: 'short', truncated: false }],
    ['text.truncate', { text: 'short', maxCharacters: 1, ending: 'abc' }, { text: 'a', truncated: true }],
    ['text.replace', { text: 'a.b.c', find: '.', replacement: '$&' }, { text: 'a$&b$&c', count: 2 }],
    ['text.digest', { text: 'abc' }, { sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', bytes: 3 }],
  ])('%s %j', async (name, input, output) => {
    expect(await run(name, input)).toEqual(output);
  });

  it('refuse to blow up', async () => {
    expect(await failureOf(tool('text.replace'), { text: 'a'.repeat(10_000), find: 'a', replacement: 'b'.repeat(10_000) }, context)).toMatchObject({
      code: 'output_too_large',
      effect: 'none',
    });
    expect(await failureOf(tool('text.split'), { text: ','.repeat(200_000), separator: ',' }, context)).toMatchObject({ code: 'too_many_pieces' });
  });
});

describe('json tools', () => {
  const document = { 'a/b': { 'm~n': [10, { x: null }] }, '': 7 };

  it.each([
    ['', document, true],
    ['/a~1b/m~0n/0', 10, true],
    ['/a~1b/m~0n/1/x', null, true],
    ['/', 7, true],
    ['/a~1b/m~0n/01', null, false],
    ['/a~1b/m~0n/-', null, false],
    ['/missing/deep', null, false],
    ['/constructor', null, false],
    ['/__proto__', null, false],
  ])('json.select %s', async (pointer, value, found) => {
    expect(await run('json.select', { value: document, pointer })).toEqual({ value, found });
  });

  // RFC 7396, appendix A.
  it.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('json.merge %j with %j', async (target, patch, value) => {
    expect(await run('json.merge', { target, patch })).toEqual({ value });
  });

  it('json.merge keeps a member named __proto__ as data', async () => {
    await run('json.merge', { target: {}, patch: JSON.parse('{"__proto__":{"polluted":true}}') });
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('json.parse and json.echo give JSON back as it was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.json(), async (text) => {
        expect(await run('json.parse', { text })).toEqual({ value: JSON.parse(text) as unknown });
        expect(await run('json.echo', { value: JSON.parse(text) as unknown })).toEqual({ value: JSON.parse(text) as unknown });
      }),
    );
    expect(await failureOf(tool('json.parse'), { text: '{' }, context)).toMatchObject({ code: 'json_invalid', retryable: false, effect: 'none' });
  });

  it('json.validate says where a value is wrong', async () => {
    const schema = { type: 'object', properties: { pattern: { type: 'string' }, at: { type: 'string', format: 'date' } }, required: ['pattern'] };
    expect(await run('json.validate', { value: { pattern: 'x', at: '2026-05-20' }, schema })).toEqual({ valid: true, errors: [] });
    expect(await run('json.validate', { value: { at: 'never' }, schema })).toMatchObject({ valid: false, errors: [{ pointer: '' }, { pointer: '/at' }] });
    expect(await run('json.validate', { value: 1, schema: false })).toMatchObject({ valid: false });
    expect(await failureOf(tool('json.validate'), { value: 1, schema: { type: 'no such type' } }, context)).toMatchObject({ code: 'schema_invalid' });
    expect(await failureOf(tool('json.validate'), { value: 1, schema: { $ref: 'https://example.com/x' } }, context)).toMatchObject({ code: 'schema_invalid' });
    const nested = { allOf: [{ properties: { a: { patternProperties: {} } } }] };
    expect(await failureOf(tool('json.validate'), { value: 1, schema: nested }, context)).toMatchObject({ code: 'tool_input_invalid' });
  });
});
