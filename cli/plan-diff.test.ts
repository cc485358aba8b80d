import { expect, test } from 'vitest';
import type { ModelUse, PlanDiff } from '#schemas/plan-diff.ts';
import { startFixtureServer } from '#tests/kai/fixture-server.ts';
import { makeHome, runKai } from '#tests/kai/run-kai.ts';

const use = (model: string, inputMicros: number | null = null): ModelUse => ({
  model,
  resolvesTo: `openai/${model}`,
  price: inputMicros === null ? null : { inputMicros, cachedInputMicros: 0, outputMicros: inputMicros * 4 },
  callsAtMost: 3,
  maxOutputTokens: null,
});

const diff: PlanDiff = {
  equal: false,
  header: [{ field: 'maxInFlight', from: 100, to: 5 }],
  steps: [
    { id: 'send', change: 'added', kind: 'tool', tool: 'http.send', effect: 'effectful', changes: [] },
    { id: 'old', change: 'removed', kind: 'transform', changes: [] },
    { id: 'say', change: 'changed', kind: 'llm', model: 'fast', changes: [{ field: 'timeoutMs', from: 60000, to: null }] },
  ],
  approvals: [{ id: 'ask', verdict: 'loosened', because: ['of 2 people, 1 is required'] }],
  modelCalls: { from: 3, to: null },
  cost: {
    currency: 'USD',
    steps: [
      { id: 'say', from: use('fast', 400_000), to: use('smart', 2_000_000) },
      { id: 'longer', from: use('fast'), to: { ...use('fast'), maxOutputTokens: 500 } },
      { id: 'fitted', from: { ...use('fast'), resolvesTo: 'builtin/summary' }, to: { ...use('fast'), resolvesTo: 'builtin/fill' } },
      { id: 'more', from: null, to: { ...use('own'), resolvesTo: null, callsAtMost: null } },
    ],
    outputMicrosAtMost: { from: 12_000, to: null },
  },
};

test('a diff of plans tells of approvals first, then of what changed; --json gives it whole', async () => {
  const server = await startFixtureServer({ 'POST /v1/plans/diff': () => ({ json: diff }) });
  const home = await makeHome(server);
  const { stdout, code } = await runKai(['plan', 'diff', 'triage@1', 'triage'], { home });
  expect({ code, lines: stdout.trimEnd().split('\n') }).toEqual({
    code: 0,
    lines: [
      'approval ask loosened: of 2 people, 1 is required',
      '~ maxInFlight: 100 → 5',
      '+ send tool (http.send, effectful)',
      '- old transform',
      '~ say llm (fast)',
      '    timeoutMs: 60000 → none',
      'cost say: fast → smart: 0.4 USD in, 1.6 USD out per million tokens → 2 USD in, 8 USD out per million tokens; calls at most: 3',
      'cost longer: fast: price not known; calls at most: 3; output tokens of a call at most: no bound → 500',
      'cost fitted: fast (builtin/summary) → fast (builtin/fill): price not known; calls at most: 3',
      'cost more: none → own: price not known; calls at most: 0 → known only when it runs',
      'model calls at most, attempts counted: 3 → known only when it runs',
      'their output costs at most: 0.012 USD → not known',
    ],
  });
  expect(JSON.parse(server.received[0]?.body ?? '')).toEqual({ from: 'triage@1', to: 'triage' });
  expect(JSON.parse((await runKai(['plan', 'diff', 'triage@1', 'triage', '--json'], { home })).stdout)).toEqual(diff);
  await server.close();
});
