import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { kaiWithServer } from '#tests/kai/kai-with-server.ts';
import { makeHome } from '#tests/kai/run-kai.ts';
import { page } from '#tests/kai/shapes.ts';

const { kai, received, close } = kaiWithServer();
afterEach(close);

const id = 'sch_01a1fbed-3526-70db-9986-2f479f032b1e';
const spec = { cron: ['0 9 * * *'], calendars: [], intervals: [], except: [], timezone: 'UTC', jitterMs: 0, startAt: null, endAt: null };
const definition = {
  plan: 'tidy',
  input: {},
  labels: {},
  priority: null,
  spec,
  overlap: 'skip',
  catchupWindowMs: 60_000,
  pauseOnFailure: false,
  runsAtMost: null,
};
const schedule = { id, name: 'daily', ...definition, paused: false };
const me = { roles: ['operator'], permissions: ['schedules:write', 'runs:start'] };
const routes = {
  'GET /v1/me': () => ({ json: me }),
  'GET /v1/plans': () => ({ json: page({ name: 'tidy', version: 1, digest: '0' }) }),
  'GET /v1/plans/tidy': () => ({ json: { name: 'tidy', version: 1, document: { plan: 'tidy', steps: {} } } }),
  'GET /v1/schedules': () => ({ json: page(schedule) }),
};

async function folderWith(text: string): Promise<string> {
  const folder = await makeHome();
  await writeFile(join(folder, 'daily.yaml'), text);
  return folder;
}
const wanted = 'kind: schedule\nname: daily\nplan: tidy\nspec: { cron: ["0 9 * * *"] }\ncatchupWindowMs: 60000\noverlap: allowAll\n';

test('apply changes nothing that was changed since it was compared', async () => {
  const folder = await folderWith(wanted);
  const changed = { ...schedule, overlap: 'bufferOne' };
  const { code, stderr } = await kai(['apply', '-f', folder, '--yes'], {
    ...routes,
    [`GET /v1/schedules/${id}`]: () => ({ json: changed, headers: { etag: '"schedule-2"' } }),
  });
  expect(code).toBe(6);
  expect(stderr).toContain('The schedule "daily" was changed while this was under way.');
  expect(received('PUT')).toBeUndefined();
});

test('apply sends the whole definition on the version that it read, and pauses by the route for it', async () => {
  const folder = await folderWith(`${wanted}paused: true\n`);
  const { code, stdout } = await kai(['apply', '-f', folder, '--yes'], {
    ...routes,
    [`GET /v1/schedules/${id}`]: () => ({ json: schedule, headers: { etag: '"schedule-1"' } }),
    [`PUT /v1/schedules/${id}`]: () => ({ json: schedule }),
    [`POST /v1/schedules/${id}/pause`]: () => ({ json: schedule }),
  });
  expect(code).toBe(0);
  expect(stdout).toContain('overlap: "skip" → "allowAll"');
  const { labels: _labels, priority: _priority, ...rest } = definition;
  expect(JSON.parse(received('PUT')?.body ?? '')).toEqual({ ...rest, overlap: 'allowAll' });
  expect(received('PUT')?.headers['if-match']).toBe('"schedule-1"');
  expect(received('POST')?.path).toBe(`/v1/schedules/${id}/pause`);
});

test.each([
  [['apply'], '--file'],
  [['apply', '-f', '.', '--only', 'plans,secrets'], 'settings, plans, rules, schedules, triggers, webhooks, channels, roles'],
  [['export', '--only', 'nothing'], 'settings, plans, rules, schedules, triggers, webhooks, channels, roles'],
])('%j is a usage error', async (words, text) => {
  const { code, stderr } = await kai(words, {});
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(text) as string });
});

test('apply refuses a folder without files, and one that is not there', async () => {
  const empty = await makeHome();
  expect(await kai(['apply', '-f', empty], {})).toMatchObject({ code: 2, stderr: expect.stringContaining('kai export') as string });
  expect(await kai(['apply', '-f', join(empty, 'none')], {})).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no such file') as string });
});

test('apply says nothing of what stands in a file of secrets that it cannot read', async () => {
  const folder = await folderWith(wanted);
  const { code, stderr } = await kai(['apply', '-f', folder, '--secrets', '-'], routes, { input: 'whsec_hidden: [1]\n' });
  expect(code).toBe(2);
  expect(stderr).not.toContain('whsec_hidden');
});
