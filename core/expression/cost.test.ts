import { describe, expect, it } from 'vitest';
import type { Json } from '#schemas/json.ts';
import { isCheap, readPart } from './cost.ts';
import type { Scope } from './scope.ts';
import { parseTemplate } from './template.ts';

const scopeWith = (input: Json): Scope => ({ input, steps: {}, run: { id: 'run_1', startedAt: '' } });
const many = Array.from({ length: 60_000 }, (_, index) => index);
const few = { list: [1, 2, 3], text: 'abc', count: 100 };
const rows = Array.from({ length: 20 }, (_, index) => ({ template: 'x'.repeat(100), count: index, samples: ['y'.repeat(200)] }));

describe('what may run at once', () => {
  it.each<[string, Json]>([
    ['${input.list}', { list: many }],
    ['${input.list[3]}', { list: many }],
    ['${!input.flag && input.count > 3}', { flag: true, count: 1 }],
    ['${range(input.count)}', few],
    ['${range(size(input.list)).map(i, input.list[i] * 2)}', few],
    ['${input.list.map(a, input.list.map(b, a * b))}', few],
    ['${join(input.rows.map(row, "| " + row.template + " | " + string(row.count) + " | " + row.samples[0] + " |"), "\\n")}', { rows }],
    ['${cel.bind(n, input.count, n * n)}', few],
  ])('%s', (source, input) => {
    expect(isCheap(parseTemplate(source), scopeWith(input))).toBe(true);
  });

  it.each<[string, Json]>([
    ['${sum(input.list)}', { list: many }],
    ['all: ${input.list}', { list: many }],
    ['${input.text.matches("a+")}', few],
    ['${range(input.count)}', { count: 90_000 }],
    ['${range(input.count * 1000)}', few],
    ['${range(1000).map(a, range(1000).map(b, a * b))}', few],
    ['${input.rows.map(a, input.rows.map(b, input.rows.map(c, a == b && b == c)))}', { rows }],
    ['${size(input.text.split(""))}', { text: 'x'.repeat(200_000) }],
    [
      `\${cel.bind(v0, range(100), ${Array.from({ length: 20 }, (_, index) => `cel.bind(v${index + 1}, v${index} + v${index}, `).join('')} 1${')'.repeat(21)}}`,
      few,
    ],
  ])('not %s', (source, input) => {
    expect(isCheap(parseTemplate(source), scopeWith(input))).toBe(false);
  });

  it('sends a thread only what is read', () => {
    const scope: Scope = {
      ...scopeWith({ a: { b: 1, c: many }, list: [1] }),
      steps: { x: { status: 'succeeded', output: many, error: null }, y: { status: 'failed', output: null, error: null } },
    };
    expect(readPart(parseTemplate('${input.a.b} ${input.list[0]} ${steps.y.status} ${input.a.missing.deeper}'), scope)).toEqual({
      input: { a: { b: 1 }, list: [1] },
      steps: { y: { status: 'failed' } },
      run: { id: '', startedAt: '' },
    });
    expect(scope.steps['y']).toEqual({ status: 'failed', output: null, error: null });
  });
});
