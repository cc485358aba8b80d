import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FaultDetail } from '#core/errors.ts';
import type { Json } from '#schemas/json.ts';
import { parsePlan, parsePlanDocument } from './parse.ts';
import { readText } from './source.ts';

function faultsOf(text: string, format: 'yaml' | 'json' = 'yaml'): FaultDetail[] {
  const result = parsePlan(text, format);
  return result.ok ? [] : result.faults;
}

const head = 'plan: a\nsteps:\n';

describe('reading text', () => {
  it('reads YAML and JSON to the same document', () => {
    const yaml = readText('plan: a\nsteps:\n  one: { transform: [1, 2.5, true, null, "x", 0x10] }\n');
    const json = readText('{"plan":"a","steps":{"one":{"transform":[1,2.5,true,null,"x",16]}}}', 'json');
    expect(yaml).toMatchObject({ ok: true, document: { plan: 'a', steps: { one: { transform: [1, 2.5, true, null, 'x', 16] } } } });
    expect(json.ok && yaml.ok && json.document).toEqual(yaml.ok && yaml.document);
  });

  it('reads back any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const plain = JSON.parse(
          JSON.stringify(value, (_, member: unknown) => (typeof member === 'number' && !Number.isSafeInteger(member) && Number.isInteger(member) ? 1 : member)),
        ) as Json;
        expect(readText(JSON.stringify(plain), 'json')).toMatchObject({ ok: true, document: plain });
      }),
    );
  });

  it.each<[string, string, RegExp, number, number]>([
    ['broken YAML', 'plan: [a\nsteps: 1', /not valid YAML/, 2, 1],
    ['a doubled key', 'plan: a\nsteps: {}\nplan: b', /"plan" is there twice/, 3, 1],
    ['a doubled key further in', 'plan: a\nsteps:\n  x: { tool: a, tool: b }', /"tool" is there twice/, 3, 17],
    ['a tag', 'plan: !!js/function "x"', /tags such as/, 1, 21],
    ['a local tag', 'plan: !env HOME', /tags such as !env/, 1, 12],
    ['a merge key', 'base: &b { a: 1 }\nplan: { <<: *b }', /merge keys/, 2, 9],
    ['an alias before its anchor', 'plan: *b', /\*b has no anchor|Unresolved alias/, 1, 7],
    ['an alias to itself', 'plan: &a [*a]', /contains itself/, 1, 11],
    ['an infinite number', 'plan: .inf', /no infinite numbers/, 1, 7],
    ['an inexact integer', 'plan: 12345678901234567890', /too large to be exact/, 1, 7],
    ['a key that is a list', '? [a]\n: b', /a key must be plain text/, 1, 3],
    ['two documents', 'plan: a\n---\nplan: b', /one YAML document, and another begins here/, 2, 1],
  ])('refuses %s, with its place', (_, text, message, line, column) => {
    const [fault] = faultsOf(text);
    expect(fault?.message).toMatch(message);
    expect({ line: fault?.line, column: fault?.column }).toEqual({ line, column });
  });

  it('refuses JSON that is only YAML', () => {
    expect(faultsOf('plan: a', 'json')[0]).toMatchObject({ line: 1, column: 1, message: expect.stringContaining('not valid JSON') as string });
  });

  it('refuses 2 MB at once', () => {
    const started = performance.now();
    const [fault] = faultsOf(`plan: a\ndescription: "${'x'.repeat(2_000_000)}"`);
    expect(fault?.message).toMatch(/has 2000023 bytes; 1000000 are allowed/);
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  it('reads YAML 1.2, whatever version the text claims', () => {
    expect(readText('%YAML 1.1\n---\nanswer: yes\noctal: 010\n')).toMatchObject({ ok: true, document: { answer: 'yes', octal: 10 } });
  });

  it('refuses alias bombs', () => {
    const levels = 'abcdefghi'.split('');
    const bomb = levels
      .map((name, level) =>
        level === 0
          ? `${name}: &${name} [lol]`
          : `${name}: &${name} [${Array(9)
              .fill(`*${levels[level - 1]}`)
              .join(',')}]`,
      )
      .join('\n');
    expect(faultsOf(bomb)[0]?.message).toMatch(/more than 100 aliases|expand to more than/);
    const large = `big: &big [${Array(3_000).fill('1').join(',')}]\nuses: [*big, *big, *big, *big]`;
    expect(faultsOf(large)[0]?.message).toMatch(/expand to more than 10000 values/);
  });

  it('allows a few aliases', () => {
    expect(faultsOf(`${head}  one: { transform: &t { a: 1 } }\n  two: { transform: *t }`)).toEqual([]);
  });

  it('survives text that is nested without end', () => {
    for (const text of ['['.repeat(20_000), `${'['.repeat(3_000)}${']'.repeat(3_000)}`, '{a: '.repeat(10_000), '- '.repeat(20_000)]) {
      expect(faultsOf(text).length).toBeGreaterThan(0);
      expect(faultsOf(text).filter(({ message }) => message.includes('call stack'))).toEqual([]);
    }
  });

  it('finds duplicates among many keys in linear time', () => {
    const text = `${Array.from({ length: 20_000 }, (_, index) => `key${index}: 1`).join('\n')}\nkey7: 2`;
    const started = performance.now();
    expect(faultsOf(text)[0]?.message).toBe('the key "key7" is there twice');
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  it('knows where everything stands', () => {
    const text = '# a comment\nplan: a\nsteps:\n  one:\n    transform:\n      - "${input.a}"\n      - >-\n        some text ${input.b +\n        input.c}\n';
    const read = readText(text);
    if (!read.ok) throw new Error('the text is valid');
    expect(read.locate('/steps/one', 'key')).toEqual({ line: 4, column: 3 });
    expect(read.locate('/steps/one/transform/0')).toEqual({ line: 6, column: 9 });
    expect(read.locate('/steps/one/transform/0', 'value', { source: 'input.a', offset: 2, start: 6 })).toEqual({ line: 6, column: 18 });
    expect(read.locate('/steps/one/transform/1', 'value', { source: 'input.b +', offset: 12, start: 0 })).toEqual({ line: 8, column: 21 });
    expect(read.locate('/steps/missing/deeper')).toEqual({ line: 4, column: 3 });
  });
});

describe('the form of a plan', () => {
  it.each<[string, string, string | undefined]>([
    ['  one: { transform: 1, concurency: 2 }', 'unknown key "concurency"', 'did you mean "concurrency"?'],
    [
      '  one: { toool: x }',
      'step "one" does not say what it does: it needs one of transform, llm, tool, artifact, wait, approval, signal, plan',
      'did you mean "tool"?',
    ],
    ['  one: { tool: x, llm: { model: fast, prompt: x } }', 'step "one" is both llm and tool; a step does one thing', undefined],
    ['  one: 5', 'step "one" is a number; it must be an object with one of transform, llm, tool, artifact, wait, approval, signal, plan', undefined],
    ['  One: { transform: 1 }', '"One": a step id starts with a lower-case letter and has only letters, digits and underscores', undefined],
    ['  one: { transform: 1, retry: { maxAtempts: 2 } }', 'unknown key "maxAtempts"', 'did you mean "maxAttempts"?'],
    ['  one: { transform: 1, retry: { maxAttempts: 0 } }', 'must be at least 1, not 0', undefined],
    ['  one: { transform: 1, concurrency: 3 }', 'step "one" has concurrency but no forEach', undefined],
    ['  one: { llm: { prompt: x } }', '"model" is missing', undefined],
    ['  one: { llm: { model: fast, prompt: x, shema: {} } }', 'unknown key "shema"', 'did you mean "schema"?'],
    ['  one: { wait: { untill: x } }', 'unknown key "untill"', 'did you mean "until"?'],
    ['  one: { wait: { forMs: 5 }, timeoutMs: 5 }', 'unknown key "timeoutMs"', undefined],
    ['  one: { approval: { required: 0, message: x } }', 'must be at least 1, not 0', undefined],
    [
      '  one: { approval: { from: [user:ann, "role:aprover"], message: x } }',
      'who decides is user:ID-or-name, agent:NAME, or role: and one of viewer, operator, approver, admin, owner',
      undefined,
    ],
  ])('%s', (step, message, suggestion) => {
    const faults = faultsOf(head + step);
    expect(faults.map((fault) => fault.message)).toContain(message);
    if (suggestion !== undefined) expect(faults.map((fault) => fault.suggestion)).toContain(suggestion);
    for (const fault of faults) expect(fault.line).toBe(3);
  });

  it.each(['', '  \n', '# nothing but this\n', '---\n'])('an empty text is called empty: %j', (text) => {
    for (const format of ['yaml', 'json'] as const) {
      if (format === 'json' && text.trim() !== '') continue;
      expect(faultsOf(text, format)[0]).toMatchObject({ line: 1, message: 'the plan is empty', suggestion: expect.stringContaining('steps:') });
    }
  });

  it('names what a map of steps is not', () => {
    expect(faultsOf('plan: a\nsteps:\n')[0]).toMatchObject({ pointer: '/steps', message: '"steps" is a map of names, not nothing' });
    expect(faultsOf('plan: a\nsteps: [1]\n')[0]).toMatchObject({ message: '"steps" is a map of names, not a list' });
  });

  it('refuses what is no plan at all', () => {
    expect(faultsOf('[1]')[0]?.message).toMatch(/not a list/);
    expect(faultsOf('plan: a')[0]?.message).toBe('"steps" is missing');
    expect(faultsOf('plan: a\nsteps: {}')[0]?.message).toBe('a plan needs at least one step');
    expect(faultsOf('plan: Bad Name\nstep: {}').map(({ message }) => message)).toContain('unknown key "step"');
  });

  it('refuses 3,000 steps', () => {
    const steps = Array.from({ length: 3_000 }, (_, index) => `  s${index}: { transform: 1 }`).join('\n');
    expect(faultsOf(head + steps)).toMatchObject([{ pointer: '/steps', message: 'the plan has 3000 steps; 2000 are allowed' }]);
  });

  it('takes a document without a text', () => {
    expect(parsePlanDocument({ plan: 'a', steps: { one: { transform: 1 } } }).ok).toBe(true);
    const result = parsePlanDocument({ plan: 'a', steps: { one: {} } });
    expect(result.ok ? null : result.faults[0]?.line).toBeUndefined();
  });

  it('never throws, whatever the document', () => {
    const keys = [
      'plan',
      'steps',
      'a',
      'tool',
      'llm',
      'transform',
      'wait',
      'approval',
      'when',
      'needs',
      'with',
      'retry',
      'input',
      'model',
      'prompt',
      'for',
      '__proto__',
    ];
    const document = fc.letrec<{ value: Json }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.constantFrom<Json>(null, true, 1, 'a', '${input.a}', '${steps.a.output}'),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 6 }),
      ),
    })).value;
    fc.assert(
      fc.property(document, (value) => {
        const result = parsePlanDocument(value);
        expect(result.ok || result.faults.length > 0).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('texts that cannot be kept', () => {
  it.each(['a\\u0000b', '\\ud800'])('are refused where they stand: %s', (text) => {
    const result = parsePlan(`{ "plan": "odd", "steps": { "only": { "transform": "${text}" } } }`, 'json');
    expect(result).toMatchObject({ ok: false, faults: [{ pointer: '/steps/only/transform', line: 1 }] });
  });
});
