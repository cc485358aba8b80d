import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;

beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

const statuses = async (runId: string): Promise<string[]> => (await engine.steps(runId)).map(({ path, status, attempt }) => `${path} ${status} ${attempt}`);
const quick = 'retry: { maxAttempts: 2, initialDelayMs: 10 }';
const once = 'retry: { maxAttempts: 1 }';

describe('a step that has failed', () => {
  it('gives the value of its onError, which may say why', async () => {
    const result = await engine.run(`
plan: valued
steps:
  seven: { transform: 7 }
  odd: { tool: test.fail, with: { times: 9 }, ${quick}, onError: { value: { code: "\${error.code}", at: "\${error.stepPath}", n: "\${steps.seven.output}" } } }
  after: { transform: "\${steps.odd.output.code + steps.odd.status}" }
output: { after: "\${steps.after.output}", odd: "\${steps.odd.output}" }
`);
    expect(result).toMatchObject({ status: 'succeeded', output: { after: 'told_to_failfailed', odd: { code: 'told_to_fail', at: 'odd', n: 7 } } });
    expect(await statuses(result.id)).toEqual(['seven succeeded 1', 'odd failed 2', 'after succeeded 1']);
  });

  it('fails the run when that value cannot be evaluated, and says both', async () => {
    const result = await engine.run(
      `plan: no-value\nsteps:\n  odd: { tool: test.fail, with: { times: 9 }, ${once}, onError: { value: "\${int(error.message)}" } }\n  after: { transform: "\${steps.odd.output}" }\n`,
    );
    expect(result).toMatchObject({ status: 'failed', error: { code: 'told_to_fail', stepPath: 'odd' } });
    expect(result.error?.message).toContain('onError could not be evaluated');
    expect(await statuses(result.id)).toEqual(['odd failed 1']);
  });

  const withFallback = (times: number, fallback: string): string => `
plan: fallen-back
steps:
  odd: { tool: test.fail, with: { times: ${times} }, ${once}, onError: { step: other } }
  other: ${fallback}
  after: { transform: "\${steps.odd.output.attempt * 10}" }
  chained: { transform: "\${steps.after.output + 1}" }
output: "\${steps.chained.output}"
`;

  it('is stood in for by its fallback, whose output is then its own', async () => {
    const result = await engine.run(withFallback(9, '{ transform: { attempt: 5, why: "${steps.odd.error.code}" } }'));
    expect(result).toMatchObject({ status: 'succeeded', output: 51 });
    expect((await engine.steps(result.id)).find(({ path }) => path === 'odd')).toMatchObject({
      status: 'failed',
      output: { attempt: 5, why: 'told_to_fail' },
      metadata: { fallback: 'other', tolerated: true },
    });
  });

  it('has its fallback skipped when it did not fail', async () => {
    const result = await engine.run(withFallback(0, '{ transform: { attempt: 5 } }'));
    expect(result).toMatchObject({ status: 'succeeded', output: 11 });
    expect(await statuses(result.id)).toEqual(['odd succeeded 1', 'other skipped 0', 'after succeeded 1', 'chained succeeded 1']);
    expect((await engine.steps(result.id)).find(({ path }) => path === 'other')?.metadata).toEqual({
      reason: 'odd did not fail, or another step that it needs was skipped',
    });
  });

  it('fails the run when its fallback fails, too', async () => {
    const result = await engine.run(withFallback(9, `{ tool: test.fail, with: { times: 9 }, ${once} }`));
    expect(result).toMatchObject({ status: 'failed', error: { code: 'told_to_fail', stepPath: 'other' } });
  });

  it.each([
    { end: 'succeeds', last: '{ transform: { attempt: 7 } }', output: 7 },
    { end: 'fails and goes on with a value', last: `{ tool: test.fail, with: { times: 9 }, ${once}, onError: { value: { attempt: 8 } } }`, output: 8 },
  ])('is stood in for by the fallback of its fallback, which $end, in whatever order they are written', async ({ last, output }) => {
    const odd = `odd: { tool: test.fail, with: { times: 9 }, ${once}, onError: { step: second } }`;
    const second = `second: { tool: test.fail, with: { times: 9 }, ${once}, onError: { step: third } }`;
    for (const [one, other] of [
      [odd, second],
      [second, odd],
    ]) {
      const result = await engine.run(`
plan: fallback-of-a-fallback
steps:
  ${one}
  ${other}
  third: ${last}
  after: { transform: "\${steps.odd.output.attempt}" }
output: { after: "\${steps.after.output}", second: "\${steps.second.output.attempt}" }
`);
      expect(result).toMatchObject({ status: 'succeeded', output: { after: output, second: output } });
    }
  });

  it('is stood in for by the value of its fallback, when that fails, too', async () => {
    const result = await engine.run(withFallback(9, `{ tool: test.fail, with: { times: 9 }, ${once}, onError: { value: { attempt: 4 } } }`));
    expect(result).toMatchObject({ status: 'succeeded', output: 41 });
  });

  it('is not tried again after a code that its plan names', async () => {
    const result = await engine.run(
      'plan: given-up\nsteps:\n  odd: { tool: test.fail, with: { times: 9 }, retry: { maxAttempts: 5, initialDelayMs: 1, nonRetryable: [told_to_fail] } }\n',
    );
    expect(result.status).toBe('failed');
    expect(await statuses(result.id)).toEqual(['odd failed 1']);
  });

  it('is not tried again when all its time is spent', async () => {
    const result = await engine.run(
      'plan: out-of-time\nsteps:\n  odd: { tool: test.fail, with: { times: 99 }, timeoutInAllMs: 5000, retry: { maxAttempts: 50, initialDelayMs: 100, backoffCoefficient: 100 } }\n',
    );
    expect(result).toMatchObject({ status: 'failed', error: { code: 'told_to_fail' } });
    // The third would have come 10 s after the second.
    expect(await statuses(result.id)).toEqual(['odd failed 2']);
  });

  it('is ended in the middle of an attempt when all its time is spent', async () => {
    const result = await engine.run(
      'plan: cut-off\nsteps:\n  long: { tool: test.rest, with: { waitMs: 60000 }, timeoutInAllMs: 300, retry: { maxAttempts: 5, initialDelayMs: 1 } }\n',
    );
    expect(result).toMatchObject({ status: 'failed', error: { code: 'step_timeout' } });
  });
});

describe('items that fail', () => {
  const items = (more: string, count = 6): string => `
plan: items-that-fail
input: { type: object, properties: { bad: { type: array, items: { type: integer } } } }
steps:
  each: { tool: test.fail, with: { times: "\${index in input.bad ? 9 : 0}" }, forEach: "\${range(${count})}", concurrency: 2, ${once}, ${more} }
  after: { transform: "\${steps.each.output}" }
output: "\${steps.after.output}"
`;
  const good = { attempt: 1 };

  it('are tolerated up to a number', async () => {
    expect(await engine.run(items('onItemError: { tolerate: 2 }'), { bad: [1, 4] })).toMatchObject({
      status: 'succeeded',
      output: [good, null, good, good, null, good],
    });
  });

  it('beyond that number fail the step, and are named', async () => {
    const result = await engine.run(items('onItemError: { tolerate: 1 }'), { bad: [1, 2, 4] });
    expect(result).toMatchObject({ status: 'failed', error: { code: 'told_to_fail' } });
    expect((await engine.steps(result.id)).filter(({ status }) => status === 'failed').length).toBeGreaterThanOrEqual(2);
  });

  it('are all tolerated by continue', async () => {
    expect(await engine.run(items('onItemError: continue', 3), { bad: [0, 1, 2] })).toMatchObject({ status: 'succeeded', output: [null, null, null] });
  });

  it('fail their step and not the run where its onError goes on', async () => {
    const result = await engine.run(items('onError: { value: none }'), { bad: [1] });
    expect(result).toMatchObject({ status: 'succeeded', output: 'none' });
    const [each] = await engine.steps(result.id);
    expect(each).toMatchObject({ path: 'each', status: 'failed', error: { message: expect.stringContaining('1 of 6 items failed: each[1]') } });
    expect((await engine.steps(result.id)).every(({ status }) => status !== 'running' && status !== 'pending')).toBe(true);
  });

  it('in windows end all windows of their step, and let the run go on', async () => {
    const result = await engine.run(items('onItemError: fail, onError: { value: none }', 700), { bad: [3] });
    expect(result).toMatchObject({ status: 'succeeded', output: 'none' });
  });
});
