import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { permissions, permissionsOf, roles } from '#core/policy/permissions.ts';
import { idPrefixes, type IdKind } from '#schemas/ids.ts';
import { newId } from '#services/ids.ts';
import { type Answer, type CallOptions, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertApproval, insertRun } from '#tests/rig/test-runs.ts';
import type { Route } from './route.ts';

/** Every route of the table × every kind of caller: a new route is covered without a line here. */

let api: TestApi;
/** One thing of each kind in the owner's workspace, by its id's prefix. */
let things: Map<string, string>;

beforeAll(async () => {
  api = await makeTestApi();
  const { workspaceId } = api.owner;
  const runId = await api.rig.database.inWorkspace(workspaceId, (transaction) => insertRun(transaction, { workspaceId, status: 'succeeded' }));
  const approvalId = await api.rig.database.inWorkspace(workspaceId, async (transaction) => {
    await insertApproval(transaction, { workspaceId, runId });
    const [row] = await transaction.sql<{ id: string }[]>`select id from kos.approvals where run_id = ${runId}`;
    return row?.id ?? '';
  });
  const key = await api.makeKey({ roles: ['viewer'] });
  const invited = await api.call('POST', '/v1/invitations', { body: { login: 'somebody@kos.example', roles: ['viewer'] } });
  await api.call('POST', '/v1/plans', { body: { source: 'plan: idle\nsteps:\n  only: { transform: 1 }\n' } });
  const schedule = await api.call('POST', '/v1/schedules', { body: { name: 'yearly', plan: 'idle', spec: { cron: ['@yearly'] } } });
  const trigger = await api.call('POST', '/v1/triggers', { body: { name: 'hook', plan: 'idle', scheme: 'bearer' } });
  const delivered = await api.call('POST', `/hooks/${trigger.body.id}`, { apiKey: String(trigger.body['secret']), text: '{}' });
  const webhook = await api.call('POST', '/v1/webhooks', { body: { name: 'hook', url: 'http://nowhere.kos.example/hook', events: ['run.failed'] } });
  const channel = await api.call('POST', '/v1/channels', { body: { name: 'on-call', kind: 'slack', url: 'http://nowhere.kos.example/hook' } });
  things = new Map([
    ['whk', webhook.body.id],
    ['chn', channel.body.id],
    ['sch', schedule.body.id],
    ['trg', trigger.body.id],
    ['dlv', String(delivered.body['deliveryId'])],
    ['run', runId],
    ['apr', approvalId],
    ['key', key.credentialId],
    ['prn', key.principalId],
    ['lnk', invited.body.id],
    ['ws', workspaceId],
  ]);
});

afterAll(() => api.close());

const nameOf = (route: Route): string => `${route.method.toUpperCase()} ${route.path}`;

/** The route's address, with each parameter as its own schema wants it: of what is there, or of nothing. */
function addressOf(route: Route, real: boolean): string {
  const { properties = {} } = (route.params === undefined ? {} : z.toJSONSchema(route.params, { io: 'input', unrepresentable: 'any' })) as {
    properties?: Record<string, { pattern?: string; type?: string }>;
  };
  return route.path.replaceAll(/\{([a-zA-Z]+)\}/g, (_whole, name: string) => {
    const prefix = /^\^([a-z]+)_/.exec(properties[name]?.pattern ?? '')?.[1];
    if (prefix === undefined) return /version/i.test(name) ? '1' : 'nothing-here';
    const kind = (Object.keys(idPrefixes) as IdKind[]).find((candidate) => idPrefixes[candidate] === prefix);
    return (real ? things.get(prefix) : undefined) ?? newId(kind ?? 'run');
  });
}

const callRoute = (route: Route, options: CallOptions, real = false): Promise<Answer> =>
  api.call(route.method.toUpperCase(), addressOf(route, real), {
    ...options,
    ...(route.method === 'get' || route.method === 'delete' ? {} : { text: '{}' }),
    headers: { 'idempotency-key': newId('run'), 'content-type': 'application/json', ...options.headers },
  });

const guarded = (): (Route & { access: { permission: (typeof permissions)[number] } })[] =>
  api.routes.filter((route): route is Route & { access: { permission: (typeof permissions)[number] } } => 'permission' in route.access);

function expectVerdict(route: Route, who: string, answer: Answer, isAllowed: boolean): void {
  const where = `${nameOf(route)} as ${who}`;
  if (isAllowed) {
    expect([where, answer.body.code]).not.toEqual([where, 'permission_missing']);
    expect([401, 500], `${where}: ${answer.text}`).not.toContain(answer.status);
  } else {
    expect([where, answer.status, answer.body.code]).toEqual([where, 403, 'permission_missing']);
    expect(answer.body.fix, where).toMatch(/Who can grant it: /);
  }
}

describe('every route', () => {
  it('refuses no one and ended sessions, but for the public list', async () => {
    const { headers, sessionId } = await api.makeSession({ roles: ['owner'] });
    await api.rig.system.sql`update kos.sessions set expires_at = now() - interval '1 s' where id = ${sessionId}`;
    for (const route of api.routes) {
      const nobody = await callRoute(route, { apiKey: null });
      const expired = await callRoute(route, { apiKey: null, headers });
      if ('public' in route.access) {
        for (const answer of [nobody, expired]) expect(['credential_missing', 'credential_refused'], nameOf(route)).not.toContain(answer.body.code);
      } else {
        expect([nobody.status, nobody.body.code], nameOf(route)).toEqual([401, 'credential_missing']);
        expect([expired.status, expired.body.code], nameOf(route)).toEqual([401, 'credential_refused']);
      }
    }
  });

  it.each(roles)('lets a session of a %s do what that role may, and nothing else', async (role) => {
    const rights = permissionsOf({ via: 'session', scopes: null, roles: [role], installationRole: null });
    for (const route of guarded()) {
      // A session of its own for each: one of the routes ends it.
      const { headers } = await api.makeSession({ roles: [role] });
      const answer = await callRoute(route, { apiKey: null, headers });
      expectVerdict(route, role, answer, rights.has(route.access.permission));
    }
  });

  it('lets an owner of the installation do what a session may', async () => {
    const rights = permissionsOf({ via: 'session', scopes: null, roles: ['owner'], installationRole: 'owner' });
    for (const route of guarded()) {
      const { headers } = await api.makeSession({ roles: ['owner'], installationRole: 'owner' });
      expectVerdict(route, 'installation owner', await callRoute(route, { apiKey: null, headers }), rights.has(route.access.permission));
    }
  });

  it('refuses a key without its permission and lets one with it in, with no other permission', async () => {
    const rights = (scopes: string[]) => permissionsOf({ via: 'api_key', scopes, roles: ['owner'], installationRole: null });
    for (const route of guarded()) {
      const { permission } = route.access;
      const others = permissions.filter((other) => other !== permission);
      const without = await api.makeKey({ roles: ['owner'], scopes: others });
      expectVerdict(route, 'a key without', await callRoute(route, { apiKey: without.apiKey }), rights(others).has(permission));
      const only = await api.makeKey({ roles: ['owner'], scopes: [permission] });
      expectVerdict(route, 'a narrow key', await callRoute(route, { apiKey: only.apiKey }), rights([permission]).has(permission));
    }
  });

  it('shows nothing of this workspace to the owner of another one, and changes nothing here', async () => {
    const workspaceId = await api.makeWorkspace();
    const stranger = await api.makeKey({ roles: ['owner'], scopes: [...permissions], workspaceId });
    const before = await stateOf(api.owner.workspaceId);
    for (const route of guarded()) {
      const address = addressOf(route, true);
      const answer = await callRoute(route, { apiKey: stranger.apiKey }, true);
      const named = [...things.values()].filter((id) => address.includes(id));
      if (named.length > 0) expect([403, 404, 400, 409, 412, 422, 428], `${nameOf(route)}: ${answer.text}`).toContain(answer.status);
      // What the caller named may be said back to them; nothing else of it.
      const seen = [...things.values()].filter((id) => !named.includes(id) && answer.text.includes(id));
      expect([nameOf(route), seen]).toEqual([nameOf(route), []]);
    }
    expect(await stateOf(api.owner.workspaceId)).toEqual(before);
  });

  it('takes a session only from our own pages, and only JSON', async () => {
    const { headers } = await api.makeSession({ roles: ['owner'], installationRole: 'owner' });
    for (const route of guarded()) {
      if (route.method === 'get') continue;
      for (const origin of ['https://evil.example', 'https://kos.example:8443', 'http://kos.example', 'null']) {
        const elsewhere = await callRoute(route, { apiKey: null, headers: { ...headers, origin } });
        expect([nameOf(route), origin, elsewhere.body.code]).toEqual([nameOf(route), origin, 'origin_refused']);
      }
      const bare = await callRoute(route, { apiKey: null, headers: { cookie: headers.cookie } });
      expect([nameOf(route), bare.body.code]).toEqual([nameOf(route), 'origin_refused']);
      const form = await callRoute(route, { apiKey: null, headers: { ...headers, 'content-type': 'text/plain' } });
      expect([nameOf(route), form.body.code]).toEqual([nameOf(route), 'media_type_unsupported']);
    }
  });
});

/** Every row of a workspace that a request could change, as text; without when things were last used. */
async function stateOf(workspaceId: string): Promise<string> {
  const { sql } = api.rig.system;
  const tables = await sql<{ name: string }[]>`
    select table_name as name from information_schema.columns where table_schema = 'kos' and column_name = 'workspace_id' and table_name <> 'credentials' order by 1`;
  const parts: string[] = [];
  for (const { name } of tables) {
    const rows = await sql`select to_jsonb(t) - 'seq' - 'leaf_index' - 'leaf_hash' as row from kos.${sql(name)} t where workspace_id = ${workspaceId}`;
    parts.push(
      `${name} ${rows
        .map((row) => JSON.stringify(row['row']))
        .toSorted()
        .join('\n')}`,
    );
  }
  return parts.join('\n');
}
