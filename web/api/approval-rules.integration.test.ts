import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertApproval, insertRun } from '#tests/rig/test-runs.ts';

let api: TestApi;
beforeAll(async () => {
  api = await makeTestApi();
});
afterAll(() => api.close());

const small = { tool: 'fs.write', when: 'arguments.path.startsWith("out/") && size(arguments.content) < 100' };
const put = (name: string, body: object, etag?: string, apiKey?: string) =>
  api.call('PUT', `/v1/approval-rules/${name}`, { body, ...(apiKey === undefined ? {} : { apiKey }), headers: etag === undefined ? {} : { 'if-match': etag } });

describe('rules that approve', () => {
  it('are set in versions, guarded by ETag, and removed with their versions kept', async () => {
    const made = await put('small-files', small);
    expect([made.status, made.body['version'], made.headers.get('etag')]).toEqual([201, 1, '"rule-1"']);
    expect((await put('small-files', { ...small, when: 'true' })).body).toMatchObject({ status: 412, code: 'rule_changed' });
    expect((await put('small-files', small, '"rule-1"')).status).toBe(200);
    const changed = await put('small-files', { ...small, when: 'false' }, '"rule-1"');
    expect([changed.status, changed.body['version']]).toEqual([201, 2]);
    expect((await api.call('GET', '/v1/approval-rules')).body.items).toMatchObject([{ name: 'small-files', version: 2, when: 'false' }]);
    expect((await api.call('DELETE', '/v1/approval-rules/small-files')).body.code).toBe('precondition_missing');
    expect((await api.call('DELETE', '/v1/approval-rules/small-files', { headers: { 'if-match': '"rule-2"' } })).status).toBe(204);
    expect((await api.call('GET', '/v1/approval-rules')).body.items).toEqual([]);
    expect((await api.call('GET', '/v1/approval-rules/small-files')).body.items.map((rule) => [rule['version'], rule['removed']])).toEqual([
      [3, true],
      [2, false],
      [1, false],
    ]);
    const audit = await api.rig.system.sql`select action from kos.audit_entries where subject = 'rule:small-files' order by at, id`;
    expect(audit.map((entry) => entry['action'])).toEqual(['rule.set', 'rule.set', 'rule.remove']);
  });

  it('are an admin’s, and of a key only when it is granted by name', async () => {
    const keyOf = async (roles: ('approver' | 'admin')[], scopes: string[] | null) => (await api.makeKey({ roles, scopes })).apiKey;
    expect((await put('theirs', small, undefined, await keyOf(['approver'], ['rules:write']))).status).toBe(403);
    expect((await put('theirs', small, undefined, await keyOf(['admin'], null))).status).toBe(403);
    expect((await put('theirs', small, undefined, await keyOf(['admin'], ['rules:write']))).status).toBe(201);
  });

  it('are refused with what is wrong: tools that are unknown or always asked for, expressions that see no arguments', async () => {
    const faults = async (body: object) => (await put('wrong', body)).body.errors.map(({ pointer }) => pointer);
    expect(await faults({ tool: 'fs.wrote' })).toEqual(['/tool']);
    expect(await faults({ tool: 'http.send' })).toEqual(['/tool']);
    expect(await faults({ tool: 'fs.write', when: 'arguments.pth == "x"' })).toEqual(['/when']);
    expect(await faults({ tool: 'fs.write', when: 'steps.a.output' })).toEqual(['/when']);
    expect(await faults({ tool: 'fs.write', when: 'arguments.path' })).toEqual(['/when']);
  });

  it('are tried on past approvals, and change nothing', async () => {
    const { workspaceId } = api.owner;
    const shownAs = (content: string, more: object = {}) => ({
      shown: [{ stepPath: 'note', kind: 'tool', tool: 'fs.write', input: { path: 'out/a', content } }],
      ...more,
    });
    await api.rig.database.inWorkspace(workspaceId, async (transaction) => {
      const runId = await insertRun(transaction, { workspaceId, status: 'waiting' });
      for (const fixture of [shownAs('short'), shownAs('x'.repeat(200)), shownAs('short', { required: 2 }), shownAs('short', { fourEyes: true }), {}]) {
        await insertApproval(transaction, { workspaceId, runId, ...fixture });
      }
    });
    const { body } = await api.call('POST', '/v1/approval-rules/test', { body: small });
    expect(body).toMatchObject({ examined: 5, wouldApprove: 1, became: { open: 1 }, failed: 0, sample: [{ stepPath: 'signOff', status: 'open' }] });
    const failing = await api.call('POST', '/v1/approval-rules/test', { body: { tool: 'fs.*', when: 'arguments.nothing == 1' } });
    expect(failing.body).toMatchObject({ wouldApprove: 0, failed: 2 });
  });
});
