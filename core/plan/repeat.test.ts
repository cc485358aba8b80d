import { describe, expect, it } from 'vitest';
import { compilePlanText } from './compile.ts';
import { fixtureEnvironment } from './fixture-environment.ts';
import { parseStepPath } from './step-path.ts';

const compile = (steps: string) => compilePlanText(`plan: a\nsteps:\n${steps}\n`, fixtureEnvironment);
const messages = (steps: string): string => {
  const result = compile(steps);
  return result.ok ? '' : result.faults.map(({ pointer, message }) => `${pointer} ${message}`).join('\n');
};

describe('repeat', () => {
  it('needs what its condition mentions, is no member of a chain, and says its bound in the shape', () => {
    const result = compile(
      '  most: { transform: 3 }\n  poll: { transform: "${iteration}", repeat: { until: "${output >= steps.most.output}", maxIterations: 7, everyMs: 20 } }',
    );
    if (!result.ok) throw new Error(JSON.stringify(result.faults));
    expect(result.compiled.shape.steps[1]).toMatchObject({ needs: [0], repeat: { maxIterations: 7 } });
    expect(result.compiled.shape.units).toEqual([[0], [1]]);
    expect(result.compiled.steps[1]).toMatchObject({
      reads: { repeat: ['most'] },
      repeat: { endsWith: true, maxIterations: 7, everyMs: 20, onExhausted: 'fail' },
    });
    expect(result.compiled.steps[0]?.repeat).toBe(null);
  });

  it('sees item and index besides, under forEach', () => {
    expect(messages('  one: { transform: "${item + iteration}", forEach: [1], repeat: { while: "${index < 1 && output != last}", maxIterations: 2 } }')).toBe(
      '',
    );
  });

  it.each([
    ['{ transform: 1, repeat: { maxIterations: 3 } }', /either until or while/],
    ['{ transform: 1, repeat: { until: "${true}", while: "${true}", maxIterations: 3 } }', /either until or while/],
    ['{ transform: 1, repeat: { until: "${true}" } }', /"maxIterations" is missing/],
    ['{ transform: 1, repeat: { until: "${true}", maxIterations: 10001 } }', /maxIterations/],
    ['{ transform: 1, repeat: { until: "${true}", maxIterations: 3, every: 5 } }', /unknown key "every"/],
    ['{ transform: 1, repeat: { until: "yes", maxIterations: 3 } }', /until must be an expression/],
    ['{ transform: 1, repeat: { until: "${output}", maxIterations: 3 } }', /until must be a boolean, and this is/],
    ['{ transform: 1, repeat: { until: "${steps.one.output == 1}", maxIterations: 3 } }', /reads its own result/],
    ['{ transform: "${output}", repeat: { until: "${true}", maxIterations: 3 } }', /output is only known in until and while/],
    ['{ transform: "${iteration}" }', /iteration is only known in a step with repeat/],
    ['{ transform: "${last}", when: "${last == null}" }', /last is only known in a step with repeat/],
    [
      '{ wait: { forMs: 5 }, repeat: { until: "${true}", maxIterations: 3 } }',
      /of kind wait and cannot repeat; steps of these kinds can: transform, llm, tool, artifact, plan/,
    ],
    ['{ approval: {}, repeat: { until: "${true}", maxIterations: 3 } }', /of kind approval and cannot repeat/],
    ['{ signal: { name: a }, repeat: { until: "${true}", maxIterations: 3 } }', /of kind signal and cannot repeat/],
    ['{ transform: 1, repeat: { until: "${true}", maxIterations: 3 } }\n  ask: { approval: { for: [one] } }', /has repeat; an approval can only stand before/],
  ])('%s is refused', (one, wanted) => {
    const found = messages(`  one: ${one}`);
    expect(found).toMatch(wanted);
    expect(found.match(/unknown key "repeat"/)).toBe(null);
  });

  it('leaves names that plans gave to their own variables alone', () => {
    expect(messages('  one: { transform: "${[1, 2].map(last, last + 1).map(output, output).filter(iteration, iteration > 1)}" }')).toBe('');
  });
});

describe('the path of a step', () => {
  it.each([
    ['poll', 'poll', null, null],
    ['each[3]', 'each', 3, null],
    ['poll#12', 'poll', null, 12],
    ['each[3]#12', 'each', 3, 12],
  ])('%s', (path, id, item, iteration) => {
    expect(parseStepPath(path)).toEqual({ id, item, iteration, undo: false });
  });
});
