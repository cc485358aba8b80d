import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { evaluateTemplate, parseTemplate } from '#core/expression/template.ts';
import type { Json } from '#schemas/json.ts';
import { planSchema, stepDefaults, stepSchemas } from '#schemas/plan.ts';

const page = readFileSync(new URL('../../documentation/plans/language.md', import.meta.url), 'utf8');
const scope = { input: {}, steps: {}, run: { id: 'run_1', startedAt: '' } };

/** Rows of the table of expressions: source and value as JSON. */
const rows = [...(page.split('## Expressions')[1]?.split('## Prompts')[0] ?? '').matchAll(/^\| `(.+)` \| `(.+)` \|$/gm)].map((match): [string, string] => [
  match[1] ?? '',
  match[2] ?? '',
]);

// The whole plans on the page are compiled by scripts/checks/document-plans.test.ts, against the real tools.
describe('the page on the language', () => {
  it.each(rows)('%s gives %s', (source, value) => {
    expect(evaluateTemplate(parseTemplate(`\${${source}}`), scope)).toEqual(JSON.parse(value) as Json);
  });

  it('has examples for each of our own functions', () => {
    for (const name of ['range', 'sum', 'sort', 'sortBy', 'groupBy', 'distinct', 'flatten', 'join', 'keys', 'toJson']) {
      expect(rows.some(([source]) => source.startsWith(`${name}(`))).toBe(true);
    }
  });

  it('names every key, every kind and the true defaults', () => {
    for (const name of [...Object.keys(planSchema.shape), ...Object.keys(stepSchemas)]) expect(page).toContain(`\`${name}\``);
    const { maxAttempts, initialDelayMs, maximumDelayMs, backoffCoefficient } = stepDefaults.retry;
    const delays = [initialDelayMs, maximumDelayMs].map((delay) => delay.toLocaleString('en'));
    expect(page).toContain(`| ${maxAttempts}, ${delays.join(', ')}, ${backoffCoefficient} |`);
    expect(page).toContain(`| ${stepDefaults.timeoutMs.toLocaleString('en')} |`);
    expect(page).toContain(`items at once, 1–500 | ${stepDefaults.concurrency} |`);
    expect(page).toContain(`1–500 | ${stepDefaults.maxInFlight} |`);
  });
});
