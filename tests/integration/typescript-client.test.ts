import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import { getRuns, getRunsId, getRunsIdEvents, getRunsIdSteps, postPlans, postRuns, type Problem } from '#clients/typescript/src/index.ts';
import { type Client, createClient } from '#clients/typescript/src/client/index.ts';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

/** The generated client against the API itself, with an engine that does the work. */

let engine: TestEngine;
let api: TestApi;
let client: Client;

beforeAll(async () => {
  engine = await makeTestEngine();
  api = await makeTestApi({ engine });
  client = createClient({ baseUrl: api.url, auth: api.apiKey });
});
afterAll(async () => {
  await api.close();
  await engine.close();
});

const source =
  'plan: double\ninput: { type: object, properties: { count: { type: integer } } }\nsteps:\n  only: { transform: "${input.count * 2}" }\noutput: "${steps.only.output}"\n';

describe('the TypeScript client', () => {
  it('saves a plan, starts a run, waits for it, and reads it with its types', async () => {
    expect((await postPlans({ client, body: { source } })).data).toMatchObject({ name: 'double', version: 1 });
    const started = await postRuns({
      client,
      body: { plan: 'double', input: { count: 21 } },
      headers: { 'Idempotency-Key': 'first', Prefer: 'wait=30' },
      throwOnError: true,
    });
    const { data: run } = await getRunsId({ client, path: { id: started.data.id }, throwOnError: true });
    expectTypeOf(run.status).toEqualTypeOf<'queued' | 'running' | 'waiting' | 'paused' | 'succeeded' | 'failed' | 'cancelled' | 'terminated'>();
    expect([run.status, run.output]).toEqual(['succeeded', 42]);
    const { data: steps } = await getRunsIdSteps({ client, path: { id: run.id }, throwOnError: true });
    expect(steps.items.map(({ path, status }) => [path, status])).toEqual([['only', 'succeeded']]);
    expect((await getRunsIdEvents({ client, path: { id: run.id } })).response?.status).toBe(200);
    const { data: runs } = await getRuns({ client, query: { plan: 'double', status: 'succeeded', limit: 5 }, throwOnError: true });
    expect(runs.items.map(({ id }) => id)).toEqual([run.id]);
  });

  it('gives a problem where the API answers one, and sends the key as the bearer alone', async () => {
    const { data, error } = await getRunsId({ client, path: { id: 'run_01a1fbed-3526-70db-9986-2f479f032b1e' } });
    expectTypeOf(error).toEqualTypeOf<Problem | undefined>();
    expect([data, error?.code, error?.status]).toEqual([undefined, 'run_not_found', 404]);
    const sent: Headers[] = [];
    const watching = createClient({
      baseUrl: api.url,
      auth: api.apiKey,
      fetch: (request) => {
        sent.push((request as Request).headers);
        return fetch(request);
      },
    });
    await getRuns({ client: watching });
    expect([sent[0]?.get('authorization'), sent[0]?.get('cookie')]).toEqual([`Bearer ${api.apiKey}`, null]);
  });
});
