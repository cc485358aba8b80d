import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KosError } from '#core/errors.ts';
import type { Json } from '#schemas/json.ts';
import { parseExpression } from './expression.ts';
import { scanText } from './scan.ts';
import type { Scope } from './scope.ts';
import { evaluateTemplate, mentions, parseTemplate, readTemplate } from './template.ts';

const scope: Scope = {
  input: {
    count: 5,
    half: 2.5,
    name: 'Ada',
    list: [3, 1, 2],
    nothing: null,
    odd: { constructor: 1, __proto__: null, plain: 2 },
    people: [
      { name: 'b', age: 2 },
      { name: 'a', age: 1 },
      { name: 'b', age: 3 },
    ],
  },
  steps: { read: { status: 'succeeded', output: { lines: [{ n: 1 }, { n: 2 }] }, error: null } },
  run: { id: 'run_1', startedAt: '2031-01-01T00:00:00Z' },
  item: { id: 7 },
  index: 3,
};

const evaluate = (source: Json): Json => evaluateTemplate(parseTemplate(source), scope);

function failureOf(source: Json): KosError {
  try {
    evaluate(source);
  } catch (error) {
    if (error instanceof KosError) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(source)} did not fail`);
}

describe('templates', () => {
  it.each<[Json, Json]>([
    ['${input.count}', 5],
    ['${input.list}', [3, 1, 2]],
    ['${input.nothing}', null],
    ['count: ${input.count}, list: ${input.list}, name: ${input.name}', 'count: 5, list: [3,1,2], name: Ada'],
    ['no expression', 'no expression'],
    ['$${input.count} and $5', '${input.count} and $5'],
    [{ list: ['$${a}', { b: ['$${b}'] }] }, { list: ['${a}', { b: ['${b}'] }] }],
    ['${ {"a": "}"}.a }', '}'],
    ["${'}' + \"'\"}", "}'"],
    ['${r"a\\d" + r\'"}\'}', 'a\\d"}'],
    ['', ''],
    [
      { a: ['${index}', 'x${item.id}'], b: true },
      { a: [3, 'x7'], b: true },
    ],
  ])('%j gives %j', (source, value) => {
    expect(evaluate(source)).toEqual(value);
  });

  it.each<[string, Json]>([
    ['input.count + 1', 6],
    ['input.count + input.half', 7.5],
    ['input.count * 2.0', 10],
    ['7 / 2', 3],
    ['7 / 2.0', 3.5],
    ['input.count == 5.0', true],
    ['input.half > 2', true],
    ['input.count in [5.0]', true],
    ['[1, 2.5, "x"]', [1, 2.5, 'x']],
    ['input.odd.plain + 1', 3],
    ['keys(input.odd)', ['constructor', 'plain']],
    ['range(3)', [0, 1, 2]],
    ['range(1, 7, 2)', [1, 3, 5]],
    ['range(3, 0, -1)', [3, 2, 1]],
    ['range(0)', []],
    ['sum(input.list)', 6],
    ['sum([])', 0],
    ['sum([1, 2.5])', 3.5],
    ['sort(input.list)', [1, 2, 3]],
    ['sort(["b", "a"])', ['a', 'b']],
    ['sortBy(input.people, "age").map(p, p.age)', [1, 2, 3]],
    ['sortBy(input.people, "age", "desc")[0].age', 3],
    ['groupBy(input.people, "name")["b"].map(p, p.age)', [2, 3]],
    ['distinct([1, 1.0, "1", {"a": 1}, {"a": 1}])', [1, '1', { a: 1 }]],
    ['flatten([[1], 2, [[3]]])', [1, 2, [3]]],
    ['join(input.list, "-")', '3-1-2'],
    ['toJson({"b": 1, "a": [true, null]})', '{"a":[true,null],"b":1}'],
    ['toJson("x")', '"x"'],
    ['input.list.filter(n, n > 1).map(n, n * 10)', [30, 20]],
    ['input.list.exists(n, n == 3) && input.list.all(n, n > 0)', true],
    ['has(input.missing) ? "there" : "not there"', 'not there'],
    ['input.?missing.orValue("default")', 'default'],
    ['size("äö")', 2],
    ['cel.bind(n, input.count, n * n)', 25],
    ['string(1.0) + string(true)', '1true'],
    ['steps.read.output.lines.map(line, line.n)', [1, 2]],
    ['timestamp("2031-01-01T00:00:00Z").getFullYear()', 2031],
  ])('${%s} gives %j', (source, value) => {
    expect(evaluate(`\${${source}}`)).toEqual(value);
  });

  it.each<[string, string, RegExp]>([
    ['input.missing', 'expression_failed', /input has no "missing"/],
    ['input.name.first', 'expression_failed', /input\.name is a string/],
    ['input.nothing.x', 'expression_failed', /input\.nothing is null/],
    ['input.list[9]', 'expression_failed', /3 elements, none at 9/],
    ['steps.read.output.lines.n', 'expression_failed', /is a list/],
    ['input.count / 0', 'expression_failed', /division by zero/],
    ['input.name + 1', 'expression_failed', /no such overload/],
    ['sort([1, "a"])', 'expression_failed', /cannot compare/],
    ['sum(["a"])', 'expression_failed', /adds numbers/],
    ['range(100001)', 'expression_failed', /100001 elements, 100000 are allowed/],
    ['range(1, 2, 0)', 'expression_failed', /step other than 0/],
    ['sortBy(input.people, "height")', 'expression_failed', /without the field "height"/],
    ['timestamp("2031-01-01T00:00:00Z")', 'expression_result', /timestamp/],
    ['1.0 / 0.0', 'expression_result', /Infinity/],
    ['9007199254740993', 'expression_result', /too large to be exact/],
    ['type(1)', 'expression_result', /not JSON/],
    ['input.?missing', 'expression_result', /optional/],
  ])('${%s} fails with %s', (source, code, message) => {
    const failure = failureOf(`\${${source}}`);
    expect(failure).toMatchObject({ code, status: 422 });
    expect(failure.message).toMatch(message);
  });

  it('refuses what cannot be parsed, and says where', () => {
    const { faults } = readTemplate({ a: { b: 'x ${1 +} y' }, c: '${unclosed', d: '${}' });
    expect(faults.map(({ pointer, source, offset, start }) => ({ pointer, source, offset, start }))).toEqual([
      { pointer: '/a/b', source: '1 +', offset: 4, start: 3 },
      { pointer: '/c', source: '', offset: 0, start: 0 },
      { pointer: '/d', source: '', offset: 2, start: 0 },
    ]);
    expect(() => parseTemplate('${1 +}')).toThrow(expect.objectContaining({ code: 'expression_syntax' }));
  });

  it.each([`${'('.repeat(200)}1${')'.repeat(200)}`, `[${'1,'.repeat(3_000)}1]`, `1${' + 1'.repeat(3_000)}`, 'x'.repeat(20_000)])(
    'bounds the size of one expression',
    (source) => {
      expect(parseExpression(source).ok).toBe(false);
    },
  );

  it('refuses a value that UTF-8 cannot carry, by a failure of the step', () => {
    const cut = { ...scope, item: { text: '\ud83d' } };
    const shown = (): Json => evaluateTemplate(parseTemplate('item: ${item}'), cut);
    expect(shown).toThrow(KosError);
    expect(shown).toThrow('half of a character');
    expect(evaluateTemplate(parseTemplate('${item.text}'), cut)).toBe('\ud83d');
  });

  it('knows which steps and which data it reads', () => {
    const template = parseTemplate({ a: '${steps.read.output.lines[0].n + input.count}', b: '${steps["other"].status}', c: '${[1].map(input, input)}' });
    expect([...mentions(template)]).toEqual(['read', 'other']);
    expect(template.paths).toEqual([
      ['input', 'count'],
      ['steps', 'other', 'status'],
      ['steps', 'read', 'output', 'lines'],
    ]);
  });

  it('never changes the data it reads', () => {
    const before = structuredClone(scope.input);
    evaluate('${input.list.map(n, n + 1)} ${sort(input.list)} ${flatten([input.list])}');
    expect(scope.input).toEqual(before);
  });

  it('gives back any JSON unchanged, whether it passes the engine or not', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const own: Scope = { ...scope, input: { value: value as Json } };
        const plain = JSON.parse(JSON.stringify(value)) as Json;
        expect(evaluateTemplate(parseTemplate('${input.value}'), own)).toEqual(value);
        expect(JSON.parse(JSON.stringify(evaluateTemplate(parseTemplate('${[input.value].map(v, v)[0]}'), own)))).toEqual(plain);
      }),
    );
  });

  it('gives JSON or a KosError, whatever is written', () => {
    const words = [
      'input',
      '.',
      'count',
      'list',
      '[',
      ']',
      '(',
      ')',
      '+',
      '-',
      '1',
      '2.5',
      '"a"',
      ' ',
      '?',
      ':',
      ',',
      'size',
      'sum',
      'range',
      'map',
      'x',
      'has',
      '{',
      '}',
      '!',
      '&&',
      '==',
      'in',
      'null',
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...words), { maxLength: 12 }), (parts) => {
        const { template, faults } = readTemplate(`\${${parts.join('')}}`);
        if (faults.length > 0) return;
        try {
          const value = evaluateTemplate(template, scope);
          expect(JSON.parse(JSON.stringify(value))).toEqual(value);
        } catch (error) {
          expect(error).toBeInstanceOf(KosError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('scanning text', () => {
  it('finds every piece, and loses nothing', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('${', '}', '$', '{', '"', "'", '\\', 'a', '//', '\n', '"""')), (parts) => {
        const text = parts.join('');
        const scanned = scanText(text);
        const rebuilt = scanned.ok
          ? scanned.pieces.map((piece) => (piece.kind === 'literal' ? piece.text.replaceAll('${', () => '$${') : `\${${piece.source}}`)).join('')
          : text;
        expect(rebuilt).toBe(text);
      }),
    );
  });
});
