import { describe, expect, it } from 'vitest';
import { compilePlanText } from './compile.ts';
import { fixtureEnvironment } from './fixture-environment.ts';

const compile = (steps: string) => compilePlanText(`plan: a\nsteps:\n${steps}\n`, fixtureEnvironment);
const messages = (steps: string): string[] => {
  const result = compile(steps);
  return result.ok ? [] : result.faults.map(({ message }) => message);
};

describe('onError', () => {
  it('makes those who need a step need its fallback, too, and the fallback need the step', () => {
    const result = compile(
      `  one: { transform: 1, onError: { step: two } }\n  two: { transform: 2 }\n  three: { transform: "\${steps.one.output}" }\n  four: { transform: 4 }`,
    );
    if (!result.ok) throw new Error(JSON.stringify(result.faults));
    expect(result.compiled.shape.steps.map(({ needs, tolerated, fallbackOf, fallbacks }) => ({ needs, tolerated, fallbackOf, fallbacks }))).toEqual([
      { needs: [], tolerated: true, fallbackOf: undefined, fallbacks: undefined },
      { needs: [0], tolerated: undefined, fallbackOf: 0, fallbacks: undefined },
      { needs: [0, 1], tolerated: undefined, fallbackOf: undefined, fallbacks: [1] },
      { needs: [], tolerated: undefined, fallbackOf: undefined, fallbacks: undefined },
    ]);
    expect(result.compiled.steps[1]?.fallbackOf).toBe('one');
  });

  it.each(['abcd', 'bacd', 'cbad', 'dcba'])('makes those who need a step need the fallback of its fallback, too, written as %s', (order) => {
    const written: Record<string, string> = {
      a: 'a: { transform: 1, onError: { step: b } }',
      b: 'b: { transform: 2, onError: { step: c } }',
      c: 'c: { transform: 3 }',
      d: 'd: { transform: "${steps.a.output}" }',
    };
    const result = compile(
      order
        .split('')
        .map((id) => `  ${written[id]}`)
        .join('\n'),
    );
    if (!result.ok) throw new Error(JSON.stringify(result.faults));
    const { needs, fallbacks } = result.compiled.shape.steps[order.indexOf('d')] ?? {};
    const ids = (numbers: number[] = []): string[] => numbers.map((number) => order[number] ?? '').toSorted();
    expect([ids(needs), ids(fallbacks)]).toEqual([
      ['a', 'b', 'c'],
      ['b', 'c'],
    ]);
  });

  it.each([
    ['{ transform: 1, onError: { step: tow } }\n  two: { transform: 2 }', /there is no step "tow"/],
    ['{ transform: 1, onError: { step: one } }', /cannot stand in for itself/],
    ['{ transform: 1, onError: { step: two } }\n  two: { transform: 2, forEach: [1] }', /has forEach/],
    ['{ transform: 1, onError: { step: two } }\n  two: { wait: { forMs: 1 } }', /is of kind wait/],
    ['{ transform: 1, onError: { step: two } }\n  two: { transform: 2 }\n  three: { transform: 3, onError: { step: two } }', /already stands in for "one"/],
    ['{ transform: 1, onError: { step: two } }\n  two: { transform: 2 }\n  ask: { approval: { for: [two] } }', /cannot be asked for it beforehand/],
    ['{ transform: "${steps.two.output}", onError: { step: two } }\n  two: { transform: 2 }', /wait for each other/],
    ['{ transform: 1, onError: { value: "${steps.one.output}" } }', /reads its own result/],
    ['{ transform: 1, onError: { value: "${error.reason}" } }', /error has no field "reason"/],
    ['{ transform: "${error.code}" }', /error is only known in the value of onError/],
    ['{ transform: 1, onError: ignore }', /./],
    ['{ transform: 1, onItemError: continue }', /onItemError but no forEach/],
    ['{ transform: 1, forEach: [1], onItemError: { tolerate: 0 } }', /./],
    ['{ transform: 1, retry: { nonRetryable: [Nope] } }', /an error code has only/],
  ])('%s is refused', (one, wanted) => {
    const found = messages(`  one: ${one}`);
    expect(found.length).toBeGreaterThan(0);
    expect(found.join('\n')).toMatch(wanted);
  });

  it.each([
    ['onError: continue', null],
    ['onError: fail', 0],
    ['onError: { value: 1 }', 0],
    ['onError: continue, onItemError: fail', 0],
    ['onItemError: continue', null],
    ['onItemError: { tolerate: 4 }', 4],
  ])('with %s, a forEach tolerates %s items', (policy, tolerated) => {
    const result = compile(`  one: { transform: 1, forEach: [1], ${policy} }`);
    expect(result.ok && result.compiled.steps[0]?.toleratedItems).toBe(tolerated);
    const contained = result.ok && result.compiled.shape.steps[0]?.forEach?.contained === true;
    expect(contained).toBe(policy.startsWith('onError: { value') || policy === 'onError: continue, onItemError: fail');
  });
});
