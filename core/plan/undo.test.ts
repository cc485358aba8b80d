import { describe, expect, it } from 'vitest';
import { compilePlanText } from './compile.ts';
import { fixtureEnvironment } from './fixture-environment.ts';
import { parseStepPath, undoneBy, undoPath } from './step-path.ts';

const compile = (steps: string, header = '') => compilePlanText(`plan: a\n${header}steps:\n${steps}\n`, fixtureEnvironment);
const messages = (steps: string): string[] => {
  const result = compile(steps);
  return result.ok ? [] : result.faults.map(({ message }) => message);
};
const compiled = (steps: string, header = '') => {
  const result = compile(steps, header);
  if (!result.ok) throw new Error(JSON.stringify(result.faults));
  return result.compiled;
};

const send = '{ tool: log.cluster, with: { path: b }';

describe('undo', () => {
  it('is known to the shape by its bound, and its tool to the plan', () => {
    const plan = compiled(
      `  one: ${send}, timeoutMs: 5000, undo: { tool: log.cluster, with: { path: "\${string(output.lines)}" } } }\n  two: { transform: 1 }`,
    );
    expect(plan.shape.steps.map(({ undo }) => undo)).toEqual([{ timeoutMs: 5_000 }, undefined]);
    expect(plan.tools.map(({ name }) => name)).toEqual(['log.cluster']);
  });

  it('is tried as its step is where it does not say otherwise, and after every error', () => {
    const step = `${send}, retry: { maxAttempts: 7, nonRetryable: [refused] }`;
    const [one, two] = compiled(
      `  one: ${step}, undo: { tool: log.cluster, with: { path: b } } }\n  two: ${step}, undo: { tool: log.cluster, with: { path: b }, retry: { maxAttempts: 2 }, timeoutMs: 9 } }`,
      'defaults: { retry: { initialDelayMs: 4 } }\n',
    ).steps;
    expect(one?.undo).toMatchObject({ retry: { maxAttempts: 7, initialDelayMs: 4, nonRetryable: [] }, timeoutMs: 60_000 });
    expect(two?.undo).toMatchObject({ retry: { maxAttempts: 2 }, timeoutMs: 9 });
  });

  it('sees what its step saw, and what that put out; it needs nothing', () => {
    const plan = compiled(`
  each: { tool: log.cluster, with: { path: "\${item}" }, forEach: [x], repeat: { until: "\${true}", maxIterations: 2 }, undo: { tool: log.cluster, with: { path: "\${index}\${iteration}\${output.lines}\${steps.later.status}" } } }
  later: { transform: 1, needs: [each] }`);
    expect(plan.shape.steps[0]?.needs).toEqual([]);
    expect(plan.steps[0]?.undo?.reads).toEqual(['later']);
  });

  it.each([
    [`${send}, undo: { tool: log.clustr, with: { path: b } } }`, /there is no tool "log.clustr"/],
    [`${send}, undo: { tool: text.upper, with: { text: b } } }`, /is pure: it changes nothing/],
    ['{ tool: text.upper, with: { text: b }, undo: { tool: log.cluster, with: { path: b } } }', /is pure: there is nothing to undo/],
    [`${send}, undo: { tool: log.cluster, with: { path: "\${output.nothing}" } } }`, /no field "nothing"/],
    [`${send}, undo: { tool: log.cluster, with: { path: "\${steps.none.output}" } } }`, /there is no step "none"/],
    [`${send}, undo: { tool: log.cluster, with: { path: "\${item}" } } }`, /item is only known in a step with forEach/],
    [`${send}, undo: { tool: log.cluster, with: { path: "\${last}" } } }`, /last is/],
    [`${send}, undo: { tool: log.cluster, with: { paht: b } } }`, /paht/],
    [`${send}, undo: { with: { path: a } } }`, /"tool" is missing/],
    ['{ tool: log.cluster, with: { path: "${string(output.lines)}" } }', /output is only known in until and while of a repeat, and in undo/],
    [
      '{ transform: 1, undo: { tool: log.cluster, with: { path: b } } }',
      /is of kind transform and cannot have an undo; steps of these kinds can: tool, artifact, plan/,
    ],
    ['{ wait: { forMs: 1 }, undo: { tool: log.cluster, with: { path: b } } }', /is of kind wait and cannot have an undo/],
  ])('%s is refused', (one, wanted) => {
    const found = messages(`  one: ${one}`);
    expect(found.length).toBeGreaterThan(0);
    expect(found.join('\n')).toMatch(wanted);
  });

  it('does not go with cache, which may stand in for what another run did', () => {
    const tool = fixtureEnvironment.tools.find(({ effect }) => effect === 'idempotent')?.name ?? '';
    const found = messages(`  one: { tool: ${tool}, cache: { ttlMs: 1000 }, undo: { tool: log.cluster, with: { path: b } } }`);
    expect(found.join('\n')).toMatch(/a step with cache may have done nothing itself/);
  });
});

describe('the path of an undo', () => {
  it.each(['pay', 'pay[3]', 'pay#2', 'pay[3]#2'])('of %s leads back to it', (path) => {
    expect(parseStepPath(undoPath(path))).toEqual({ ...parseStepPath(path), undo: true });
    expect(undoneBy(undoPath(path))).toBe(path);
    expect(undoneBy(path)).toBe(path);
  });
});
