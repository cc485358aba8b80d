import { expect, it } from 'vitest';
import type { PlanShape, StepKind } from '#schemas/shape.ts';
import { itemSummary, labelOf, rangeSummary, stepsSummary } from './summaries.ts';

const shape = (...steps: [string, StepKind][]): PlanShape => ({
  steps: steps.map(([, kind]) => ({ kind, needs: [], timeoutMs: 1 })),
  names: steps.map(([name]) => name),
  units: [],
  maxInFlight: 1,
  timeoutMs: null,
});

it('names steps, items and slices, and what they are', () => {
  const plan = shape(['read', 'tool'], ['count', 'transform'], ['each', 'llm']);
  expect(stepsSummary(plan, [0])).toEqual({ summary: 'read · tool' });
  expect(stepsSummary(plan, [0, 1])).toEqual({ summary: 'read, count · tool, transform' });
  expect(itemSummary(labelOf(plan, 2), 17)).toEqual({ summary: 'each[17] · llm' });
  expect(itemSummary(labelOf(plan, 2))).toEqual({ summary: 'each · llm' });
  expect(rangeSummary(labelOf(plan, 2), 500, 999)).toEqual({ summary: 'each[500…999] · llm' });
});

it('is one line that any server takes, whatever the steps are called and however many there are', () => {
  const plan = shape(
    ...Array.from({ length: 200 }, (_, index): [string, StepKind] => [`${'long'.repeat(16)}${index}`, index % 2 === 0 ? 'tool' : 'transform']),
  );
  const { summary } = stepsSummary(
    plan,
    plan.steps.map((_, index) => index),
  );
  expect(summary).toMatch(/… · tool, transform$/);
  for (const text of [summary, itemSummary(labelOf(shape(['x'.repeat(300), 'plan']), 0), 99_999).summary])
    expect(Buffer.byteLength(text ?? '')).toBeLessThanOrEqual(110);
});

it('says nothing of a plan that was saved before shapes had names', () => {
  const { names: _names, ...before } = shape(['read', 'tool']);
  expect([stepsSummary(before, [0]), itemSummary(labelOf(before, 0), 1), rangeSummary(labelOf(before, 0), 0, 499)]).toEqual([{}, {}, {}]);
});
