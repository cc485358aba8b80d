import { afterEach, expect, test } from 'vitest';
import { type FixtureServer, type Handler, startFixtureServer } from '#tests/kai/fixture-server.ts';
import { type KaiResult, makeHome, runKai } from '#tests/kai/run-kai.ts';
import { runId } from '#tests/kai/shapes.ts';

let server: FixtureServer;

async function kai(words: string[], answer: Handler): Promise<KaiResult> {
  server = await startFixtureServer({ 'GET /v1/runs/{id}/history': answer });
  return await runKai(words, { home: await makeHome(server) });
}

afterEach(async () => {
  await server.close();
});

const event = (id: number, type: string, steps: string[] = []) => ({
  id,
  execution: 'e1',
  at: '2026-01-01T12:00:00.000Z',
  type: `EVENT_TYPE_${type}`,
  group: null,
  steps,
  attributes: {},
});
const kept = { state: 'kept', text: 'Temporal keeps this history.' };

test('run history shows every page, one event a line, and sends its filters', async () => {
  const { code, stdout } = await kai(['run', 'history', runId, '--step', 'read'], ({ query }) =>
    query.get('cursor') === null
      ? { json: { ...kept, items: [event(2, 'ACTIVITY_TASK_SCHEDULED', ['read'])], nextCursor: 'older' } }
      : { json: { ...kept, items: [event(1, 'WORKFLOW_EXECUTION_STARTED')], nextCursor: null } },
  );
  expect(code).toBe(0);
  expect(stdout.trimEnd().split('\n')).toEqual([
    expect.stringMatching(/ 2 {2}activity task scheduled {2}read$/),
    expect.stringMatching(/ 1 {2}workflow execution started$/),
  ]);
  expect(server.received.map(({ query }) => query.get('step'))).toEqual(['read', 'read']);
});

test('run history says when the history has expired', async () => {
  const { code, stdout, stderr } = await kai(['run', 'history', runId], () => ({
    json: { state: 'expired', text: 'History expired: Temporal keeps it no longer.', items: [], nextCursor: null },
  }));
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: 'History expired: Temporal keeps it no longer.\n' });
});
