import { afterEach, describe, expect, test } from 'vitest';
import { type FixtureServer, type Handler, startFixtureServer } from '#tests/kai/fixture-server.ts';
import { type KaiResult, makeHome, runKai } from '#tests/kai/run-kai.ts';
import { aPlan, aRun, page, runId } from '#tests/kai/shapes.ts';

let server: FixtureServer;

async function kai(words: string[], routes: Record<string, Handler>): Promise<KaiResult> {
  server = await startFixtureServer(routes);
  return await runKai(words, { home: await makeHome(server) });
}

afterEach(async () => {
  await server.close();
});

const source = 'run_01930000-0000-7000-8000-00000000dddd';
const aStep = (path: string, more: object = {}) => ({
  path,
  kind: 'tool',
  status: 'succeeded',
  attempt: 1,
  startedAt: '2026-01-01T12:00:00.000Z',
  finishedAt: '2026-01-01T12:00:01.000Z',
  waitingFor: null,
  error: null,
  costMicros: 0,
  metadata: { reusedFrom: { runId: source, stepPath: path } },
  ...more,
});

describe('cache', () => {
  test('clear says how many outputs were forgotten, of which plan', async () => {
    const { code, stderr } = await kai(['cache', 'clear', '--plan', 'triage'], { 'DELETE /v1/cache': () => ({ json: { plan: 'triage', cleared: 1_200 } }) });
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'Forgot 1,200 kept outputs of the plan triage.\n' });
    expect(server.received.at(-1)).toMatchObject({ method: 'DELETE', path: '/v1/cache' });
    expect(server.received.at(-1)?.query.get('plan')).toBe('triage');
  });

  test('clear without a plan is of all, and data under --json', async () => {
    const { stdout } = await kai(['cache', 'clear', '--json'], { 'DELETE /v1/cache': () => ({ json: { plan: null, cleared: 0 } }) });
    expect(JSON.parse(stdout)).toEqual({ plan: null, cleared: 0 });
  });

  test('--no-cache reaches the start, and is not sent when it is not said', async () => {
    const routes: Record<string, Handler> = {
      'GET /v1/plans/triage': () => ({ json: aPlan() }),
      'POST /v1/runs': () => ({ status: 202, json: { id: runId, status: 'queued', url: 'http://x/run' } }),
    };
    await kai(['run', 'start', 'triage', '--no-cache'], routes);
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).toMatchObject({ cache: false });
    await server.close();
    await kai(['run', 'start', 'triage'], routes);
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).not.toHaveProperty('cache');
  });

  test('run get names the step whose output was reused, and counts reused items', async () => {
    const steps = [aStep('look'), aStep('each', { metadata: { items: 3 } }), aStep('each[0]'), aStep('each[1]'), aStep('each[2]', { metadata: {} })];
    const { stdout } = await kai(['run', 'get', runId], {
      'GET /v1/runs/{id}': () => ({ json: aRun({ status: 'succeeded', cache: false }) }),
      'GET /v1/plans/{name}/versions/{version}': () => ({
        json: aPlan({ steps: { look: { tool: 'x' }, each: { tool: 'x', forEach: [1, 2, 3] } } }),
      }),
      'GET /v1/runs/{id}/steps': () => ({ json: page(...steps) }),
    });
    expect(stdout).toContain(`reused from ${source}/look`);
    expect(stdout).toContain('3 of 3 done, 2 reused');
    expect(stdout).toContain('not used: every step does its work');
  });

  test('run get --step names it, too', async () => {
    const { stderr } = await kai(['run', 'get', runId, '--step', 'look'], {
      'GET /v1/runs/{id}': () => ({ json: aRun({ status: 'succeeded' }) }),
      'GET /v1/runs/{id}/steps': () => ({ json: page(aStep('look', { output: 'found' })) }),
    });
    expect(stderr).toMatch(new RegExp(`reused from +${source}/look`));
  });
});
