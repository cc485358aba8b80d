import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

describe('a run', () => {
  it('evaluates its steps and its output', async () => {
    const run = await engine.run(
      `
plan: sums
input: { type: object, properties: { count: { type: integer, default: 4 } } }
steps:
  numbers: { transform: "\${range(input.count)}" }
  doubled: { transform: "\${item * 2}", forEach: "\${steps.numbers.output}" }
  total: { transform: "\${sum(steps.doubled.output)}" }
output: { total: "\${steps.total.output}" }
`,
      { count: 5 },
    );
    expect(run.error).toBeNull();
    expect(run.status).toBe('succeeded');
    expect(run.output).toEqual({ total: 20 });
  });

  it('fuses a chain of pure steps into one activity', async () => {
    const steps = Array.from({ length: 30 }, (_, index) => `  s${index}: { transform: "\${${index === 0 ? '1' : `steps.s${index - 1}.output + 1`}}" }`);
    const run = await engine.run(`plan: chain\nsteps:\n${steps.join('\n')}\noutput: "\${steps.s29.output}"\n`);
    expect(run.output).toBe(30);
    expect(run.status).toBe('succeeded');
  });

  it('tells once that it has started, and once that it goes on after a wait, however many of its steps begin at once', async () => {
    const atOnce = (prefix: string, needs: string): string[] =>
      Array.from({ length: 12 }, (_, index) => `  ${prefix}${index}: { tool: fs.list, with: { path: "." }${needs} }`);
    const steps = [...atOnce('first', ''), '  pause: { wait: { forMs: 1500 } }', ...atOnce('second', ', needs: [pause]')];
    for (let time = 0; time < 4; time += 1) {
      const run = await engine.run(`plan: at-once\nfuse: none\nsteps:\n${steps.join('\n')}\n`);
      expect(run.status).toBe('succeeded');
      const told = await engine.rig.system.sql<{ type: string; count: number }[]>`
        select type, count(*)::int as count from kos.events where run_id = ${run.id} and type in ('run.started', 'run.waiting', 'run.resumed') group by type order by type`;
      expect(told).toEqual(['run.resumed', 'run.started', 'run.waiting'].map((type) => ({ type, count: 1 })));
      expect((await engine.audit(run.id)).filter(({ action }) => action === 'run.start')).toHaveLength(1);
    }
  });

  it('skips what a false "when" takes with it', async () => {
    const run = await engine.run(`
plan: skipping
steps:
  first: { transform: 1, when: "\${false}" }
  second: { transform: "\${steps.first.output}" }
  third: { transform: "seen", when: "\${steps.second.status == 'skipped'}" }
output: "\${steps.third.output}"
`);
    expect(run.error).toBeNull();
    expect(run.output).toBe('seen');
  });

  it('fails with the error of the step that failed, and lets a tolerated one go', async () => {
    const failed = await engine.run(`
plan: failing
steps:
  read: { tool: fs.read, with: { path: "/etc/shadow" }, retry: { maxAttempts: 1 } }
  after: { transform: "\${steps.read.output}" }
`);
    expect(failed.status).toBe('failed');
    expect(failed.error?.stepPath).toBe('read');
    const tolerated = await engine.run(`
plan: tolerating
steps:
  read: { tool: fs.read, with: { path: "/etc/shadow" }, onError: continue, retry: { maxAttempts: 1 } }
  after: { transform: "\${steps.read.status}" }
output: "\${steps.after.output}"
`);
    expect(tolerated.error).toBeNull();
    expect(tolerated.output).toBe('failed');
  });

  it('fails a step whose "when" is neither true nor false', async () => {
    const run = await engine.run(
      `
plan: odd-condition
input: { type: object, properties: { flag: {} } }
steps:
  only: { transform: 1, when: "\${input.flag}" }
`,
      { flag: 'yes' },
    );
    expect(run.error?.code).toBe('when_not_boolean');
    expect(run.status).toBe('failed');
  });

  it('waits by a row and goes on', async () => {
    const run = await engine.run(`
plan: waiting
steps:
  pause: { wait: { forMs: 300 } }
  after: { transform: "done", needs: [pause] }
output: "\${steps.after.output}"
`);
    expect(run.output).toBe('done');
  });
});
