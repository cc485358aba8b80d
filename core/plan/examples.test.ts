import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { evaluateTemplate } from '#core/expression/template.ts';
import type { Scope } from '#core/expression/scope.ts';
import { compilePlanText } from './compile.ts';
import type { CompiledPlan, PlanEnvironment } from './compiled.ts';
import { validateInput } from './validate-input.ts';

const folder = new URL('../../examples/', import.meta.url);

const text = { type: 'string' };
const count = { type: 'integer' };
const texts = { type: 'array', items: text };
const closed = (properties: Record<string, unknown>, required: string[] = Object.keys(properties)) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});

/** What the examples use of the tools, as `services/tools` declares it; the whole is tried in `services/tools` and in the integration tests. */
const environment = {
  models: ['fast'],
  tools: [
    {
      name: 'log.cluster',
      version: 1,
      effect: 'idempotent',
      inputSchema: closed({ path: text, maxClusters: { type: 'integer', minimum: 1, maximum: 500 } }, ['path']),
      outputSchema: closed({
        files: texts,
        lines: count,
        unlisted: closed({ clusters: count, lines: count }),
        clusters: { type: 'array', items: closed({ id: text, template: text, count, level: text, firstLine: count, samples: texts, files: texts }) },
      }),
    },
    {
      name: 'fs.create',
      version: 1,
      effect: 'idempotent',
      inputSchema: closed({ path: text, content: text }),
      outputSchema: closed({ path: text, created: { type: 'boolean' }, bytes: count }),
    },
  ],
} as PlanEnvironment;

function compileExample(name: string): CompiledPlan {
  const result = compilePlanText(readFileSync(new URL(name, folder), 'utf8'), environment);
  expect(result.ok ? [] : result.faults).toEqual([]);
  if (!result.ok) throw new Error(`${name} does not compile`);
  return result.compiled;
}

const stepOf = (plan: CompiledPlan, id: string) => plan.steps.find((step) => step.id === id)!;
const succeeded = (output: Scope['steps'][string]['output']) => ({ status: 'succeeded', output, error: null });

describe('the example plans', () => {
  it.each(readdirSync(folder).filter((name) => name.endsWith('.plan.yaml')))('%s compiles, and runs without input', (name) => {
    const plan = compileExample(name);
    expect(`${plan.name}.plan.yaml`).toBe(name);
    expect(validateInput(plan.inputSchema, {}).ok).toBe(true);
  });

  it('log-triage writes a report with each kind of message and its explanation', () => {
    const plan = compileExample('log-triage.plan.yaml');
    const cluster = {
      id: 'c1',
      template: 'disk <*> | is `full`',
      count: 12,
      level: 'error',
      firstLine: 3,
      samples: ['disk sda | is `full`'],
      files: ['/var/log/syslog'],
    };
    const read = {
      files: ['/var/log/syslog'],
      lines: 40,
      unlisted: { clusters: 2, lines: 5 },
      clusters: [cluster, { ...cluster, template: 'ok', level: 'info' }],
    };
    const scope: Scope = {
      input: { path: '/var/log', limit: 20, autoApprove: false },
      run: { id: 'run_1', startedAt: '2031-01-01T00:00:00Z' },
      steps: { read: succeeded(read), explain: succeeded(['The disk is full.', null]) },
    };
    scope.steps['sections'] = succeeded(evaluateTemplate(stepOf(plan, 'sections').input, scope));
    const report = evaluateTemplate(stepOf(plan, 'report').input, scope) as { content: string };
    expect(report.content).toContain("| 1 | error | 12 | `disk <*> ¦ is 'full'` |\n| 2 | info | 12 | `ok` |");
    expect(report.content).toContain('The disk is full.');
    expect(report.content).toContain('No explanation could be had.');
    expect(evaluateTemplate(stepOf(plan, 'signOff').when!, scope)).toBe(true);
  });

  it('log-triage writes a report of logs in which nothing was found', () => {
    const plan = compileExample('log-triage.plan.yaml');
    const read = { files: [], lines: 0, unlisted: { clusters: 0, lines: 0 }, clusters: [] };
    const scope: Scope = {
      input: { path: '/var/log' },
      run: { id: 'run_1', startedAt: '' },
      steps: { read: succeeded(read), explain: succeeded([]), sections: succeeded([]) },
    };
    expect(evaluateTemplate(stepOf(plan, 'sections').input, scope)).toEqual([]);
    expect(evaluateTemplate(stepOf(plan, 'report').input, scope)).toMatchObject({ name: 'report.md' });
  });

  it('fan-out writes one file for each item, each under a name of its own', () => {
    const plan = compileExample('fan-out.plan.yaml');
    const scope: Scope = { input: { count: 3, note: 'n' }, run: { id: 'run_1', startedAt: '' }, steps: {} };
    const items = evaluateTemplate(stepOf(plan, 'write').forEach!, scope) as number[];
    const inputs = items.map((item, index) => evaluateTemplate(stepOf(plan, 'write').input, { ...scope, item, index }));
    expect(inputs.at(-1)).toEqual({ path: 'fan-out/run_1/2.json', content: '{"index":2,"note":"n","run":"run_1"}' });
    scope.steps['write'] = succeeded(items.map(() => ({ path: '', created: true, bytes: 10 })));
    expect(evaluateTemplate(stepOf(plan, 'tally').input, scope)).toEqual({ count: 3, bytes: 30, folder: 'fan-out/run_1' });
  });
});
