import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await makeTestApi();
});
afterAll(() => api.close());

const source = (required: number): string => `
plan: compared
steps:
  ask: { approval: { message: "?", required: ${required} } }
  loud: { tool: text.upper, with: { text: a }, needs: [ask] }
`;
const diff = (from: unknown, to: unknown) => api.call('POST', '/v1/plans/diff', { body: { from, to } });

describe('two plans', () => {
  it('are compared, saved or not, by their newest version or a named one', async () => {
    for (const required of [2, 1]) await api.call('POST', '/v1/plans', { body: { source: source(required) } });
    const loosened = {
      equal: false,
      approvals: [{ id: 'ask', verdict: 'loosened' }],
      steps: [{ id: 'ask', changes: [{ field: 'approval.required', from: 2, to: 1 }] }],
    };
    expect((await diff('compared@1', 'compared')).body).toMatchObject(loosened);
    expect((await diff({ source: source(2) }, 'compared@2')).body).toMatchObject(loosened);
    expect((await diff('compared@2', { source: source(1) })).body).toMatchObject({ equal: true, steps: [], approvals: [] });
    expect((await api.call('GET', '/v1/plans/compared/versions')).body.items).toHaveLength(2);
  });

  it('are compared by what their calls of models cost where they would run', async () => {
    const says = (model: string): object => ({ source: `plan: says\nsteps:\n  say: { llm: { model: ${model}, prompt: x, maxOutputTokens: 100 } }\n` });
    const { body } = await diff(says('fast'), says('builtin/summary'));
    expect(body).toMatchObject({
      modelCalls: { from: 3, to: 3 },
      cost: {
        currency: 'USD',
        steps: [{ id: 'say', from: { model: 'fast', resolvesTo: 'builtin/summary', callsAtMost: 3, maxOutputTokens: 100 }, to: { model: 'builtin/summary' } }],
        outputMicrosAtMost: { from: 0, to: 0 },
      },
    });
  });

  it('that are not there, or no plans, are named', async () => {
    expect((await diff('compared@9', 'compared')).body).toMatchObject({ status: 404, code: 'plan_version_not_found' });
    expect((await diff('nothing', 'compared')).body).toMatchObject({ status: 404, code: 'plan_not_found' });
    expect((await diff('compared', { source: 'plan: x' })).body).toMatchObject({ status: 422, code: 'plan_invalid' });
  });

  it('are checked beside others that are not saved yet, as these will be', async () => {
    const source = 'plan: caller\nsteps:\n  call: { plan: called, with: { days: 3 } }\n';
    const called = (days: string): object => ({
      source: `plan: called\ninput: { type: object, properties: { days: { type: ${days} } } }\nsteps: { one: { transform: 1 } }\n`,
    });
    const validate = (beside?: object[]) => api.call('POST', '/v1/plans/validate', { body: { source, ...(beside === undefined ? {} : { beside }) } });
    expect((await validate()).body).toMatchObject({ valid: false });
    expect((await validate([called('integer')])).body).toMatchObject({ valid: true, name: 'caller' });
    expect((await validate([called('string')])).body).toMatchObject({ valid: false });
    expect((await validate([called('integer'), { source: '#'.repeat(1_000_000) }])).status).toBe(400);
    expect(
      (await diff({ source: source.replace('days: 3', 'days: 4'), beside: [called('integer')] }, { source, beside: [called('integer')] })).body,
    ).toMatchObject({
      steps: [{ id: 'call', change: 'changed' }],
    });
    expect((await api.call('GET', '/v1/plans/called')).status).toBe(404);
  });
});
