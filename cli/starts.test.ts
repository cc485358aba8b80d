import { afterEach, describe, expect, test } from 'vitest';
import { type FixtureServer, type Handler, startFixtureServer } from '#tests/kai/fixture-server.ts';
import { type KaiResult, makeHome, runKai } from '#tests/kai/run-kai.ts';
import { runId } from '#tests/kai/shapes.ts';

let server: FixtureServer;

async function kai(words: string[], routes: Record<string, Handler> = {}): Promise<KaiResult> {
  server = await startFixtureServer(routes);
  return await runKai(words, { home: await makeHome(server) });
}

afterEach(async () => {
  await server.close();
});

const held = {
  hold: { since: '2026-01-01T12:00:00.000Z', by: 'prn_a', reason: 'maintenance' },
  waiting: 21,
  next: [{ runId, plan: 'triage', createdAt: '2026-01-01T12:01:00.000Z' }],
};

describe('holding all new runs', () => {
  test('pause --all sends the reason and says how to let them start again', async () => {
    const { code, stderr } = await kai(['pause', '--all', '--reason', 'maintenance'], { 'PUT /v1/starts/hold': () => ({ json: held }) });
    expect(code).toBe(0);
    for (const text of ['No new run starts', 'maintenance', 'kai resume --all']) expect(stderr).toContain(text);
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).toEqual({ reason: 'maintenance' });
  });

  test.each(['pause', 'resume'])('%s without --all names both commands that may be meant, and sends nothing', async (verb) => {
    const { code, stderr } = await kai([verb, ...(verb === 'pause' ? ['--reason', 'x'] : [])]);
    expect(code).toBe(2);
    for (const text of [`kai ${verb} --all`, `kai run ${verb} RUN`]) expect(stderr).toContain(text);
    expect(server.received).toEqual([]);
  });

  test('resume --all --dry-run shows who would start, in order, and releases nothing', async () => {
    const { code, stderr } = await kai(['resume', '--all', '--dry-run'], { 'GET /v1/starts': () => ({ json: held }) });
    expect(code).toBe(0);
    for (const text of ['21 runs wait. In this order:', runId, 'triage', '… and 20 more']) expect(stderr).toContain(text);
    expect(server.received.map(({ method }) => method)).toEqual(['GET']);
  });

  test('resume --all asks where somebody can be asked, and says what to do where nobody can', async () => {
    const { code, stderr } = await kai(['resume', '--all'], { 'GET /v1/starts': () => ({ json: held }) });
    expect(code).toBe(2);
    expect(stderr).toContain('kai resume --all --yes');
  });

  test('resume --all --yes releases, and under --json answers with what was held', async () => {
    const routes = { 'GET /v1/starts': () => ({ json: held }), 'DELETE /v1/starts/hold': () => ({ json: held }) };
    const { stdout } = await kai(['resume', '--all', '--yes', '--json'], routes);
    expect(JSON.parse(stdout)).toEqual(held);
    expect(server.received.map(({ method }) => method)).toEqual(['GET', 'DELETE']);
  });

  test('resume --all of what is not held says so', async () => {
    const { code, stderr } = await kai(['resume', '--all', '--yes'], { 'GET /v1/starts': () => ({ json: { hold: null, waiting: 0, next: [] } }) });
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'New runs start as they come.\n' });
  });
});
