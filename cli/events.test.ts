import { afterEach, expect, test } from 'vitest';
import { type FixtureServer, problem, startFixtureServer } from '#tests/kai/fixture-server.ts';
import { makeHome, runKai } from '#tests/kai/run-kai.ts';
import { eventMaker, runId } from '#tests/kai/shapes.ts';

let server: FixtureServer;

afterEach(async () => {
  await server.close();
});

const refusal = { status: 403, json: problem({ status: 403, code: 'permission_missing', detail: 'You may not any more.' }) };

test('events follows what happens, a line each with its run, across a lost connection', async () => {
  const event = eventMaker();
  const [started, decided] = [event('step.started', { stepPath: 'read' }), event('approval.decided', { stepPath: 'read', decision: 'approve', by: 'someone' })];
  let asked = 0;
  server = await startFixtureServer({
    'GET /v1/events': () => [{ events: [started], then: 'break' as const }, { events: [decided], then: 'break' as const }, refusal][asked++] ?? refusal,
  });
  const { code, stdout, stderr } = await runKai(['events', '--topic', 'step', '--topic', 'approval'], { home: await makeHome(server) });
  expect(stdout.trimEnd().split('\n')).toEqual([
    expect.stringMatching(new RegExp(`step read started {2}${runId}$`)),
    expect.stringMatching(new RegExp(`approval for read approved by someone {2}${runId}$`)),
  ]);
  expect(stderr).toContain('You may not any more.');
  expect(code).toBe(4);
  expect(server.received.map(({ query, headers }) => [query.get('topic'), headers['last-event-id']])).toEqual([
    ['step,approval', undefined],
    ['step,approval', started.position],
    ['step,approval', decided.position],
  ]);
});

test('events as JSON is one event a line; a topic that there is not is refused', async () => {
  const event = eventMaker();
  const saved = { ...event('plan.saved', { name: 'p' }), runId: null };
  let asked = 0;
  server = await startFixtureServer({ 'GET /v1/events': () => (asked++ === 0 ? { events: [saved], then: 'break' } : refusal) });
  const home = await makeHome(server);
  const { stdout } = await runKai(['events', '--json', '--after', '01ab-7'], { home });
  expect(JSON.parse(stdout)).toEqual(saved);
  expect(server.received[0]?.query.get('after')).toBe('01ab-7');
  expect((await runKai(['events', '--topic', 'weather'], { home })).code).toBe(2);
});

test('what is no run’s is told by its name', async () => {
  const event = eventMaker();
  const told = [
    event('plan.saved', { name: 'greet', version: 3 }),
    event('schedule.paused', { name: 'nightly', note: 'the disk is mended' }),
    event('schedule.missed', { name: 'nightly', count: 2 }),
    event('trigger.delivered', { name: 'issues', status: 'failed', reason: 'body has no "title"' }),
    event('trigger.delivered', { name: 'issues', status: 'accepted', reason: null }),
  ].map((one) => ({ ...one, runId: null }));
  let asked = 0;
  server = await startFixtureServer({ 'GET /v1/events': () => (asked++ === 0 ? { events: told, then: 'break' } : refusal) });
  const { stdout } = await runKai(['events'], { home: await makeHome(server) });
  expect(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.slice(line.indexOf(' ') + 1)),
  ).toEqual([
    'plan greet@3 saved',
    'schedule nightly paused: the disk is mended',
    'schedule nightly missed',
    'trigger issues delivered: failed: body has no "title"',
    'trigger issues delivered: accepted',
  ]);
});
