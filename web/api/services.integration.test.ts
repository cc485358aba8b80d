import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#services/ids.ts';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';

let api: TestApi;

beforeAll(async () => {
  api = await makeTestApi();
});

afterAll(() => api.close());

const audit = (subject: string) =>
  api.rig.system.sql<{ action: string; data: object }[]>`select action, data from kos.audit_entries where subject = ${subject} order by inserted`;

describe('plans', () => {
  const plan = (name: string, text: string) => `# ${name}, with a comment\nplan: ${name}\nsteps:\n  shout: { tool: text.upper, with: { text: ${text} } }\n`;
  const save = (source: string) => api.call('POST', '/v1/plans', { text: source, headers: { 'content-type': 'application/yaml' } });

  it('an empty text is an empty plan, not a request without a body', async () => {
    expect((await save('')).body).toMatchObject({ code: 'plan_invalid', errors: [{ line: 1, column: 1, message: 'the plan is empty' }] });
    const checked = await api.call('POST', '/v1/plans/validate', { text: '', headers: { 'content-type': 'application/yaml' } });
    expect(checked.body).toMatchObject({ valid: false, errors: [{ message: 'the plan is empty' }] });
  });

  it('are saved as versions of their name, equal content once', async () => {
    const [first, second] = [await save(plan('versions', 'one')), await save(plan('versions', 'two'))];
    expect([first.status, first.body['version'], second.status, second.body['version']]).toEqual([201, 1, 201, 2]);
    const again = await save(plan('versions', 'two').replace('a comment', 'another comment'));
    expect([again.status, again.body['version'], again.body['digest']]).toEqual([200, 2, second.body['digest']]);
    expect((await api.call('GET', '/v1/plans/versions/versions')).body.items.map((item) => item['version'])).toEqual([2, 1]);
    expect((await api.call('GET', '/v1/plans/versions/versions/1')).body['digest']).toBe(first.body['digest']);
  });

  it('go back to an older version by saving its content', async () => {
    await save(plan('back', 'one'));
    await save(plan('back', 'two'));
    const back = await save(plan('back', 'one'));
    expect([back.status, back.body['version']]).toEqual([200, 1]);
    expect((await api.call('GET', '/v1/plans/back')).body['version']).toBe(1);
    expect((await save(plan('back', 'three'))).body['version']).toBe(3);
    expect((await audit('back@1')).map(({ action }) => action)).toEqual(['plan.save', 'plan.save']);
  });

  it('keep their text, with the line that editors read, and the order of their steps', async () => {
    const source = 'plan: ordered\nsteps:\n  zebra: { transform: 1 }\n  apple: { transform: 2 }\n';
    const saved = await api.call('POST', '/v1/plans', { body: { source } });
    expect(saved.body['source']).toBe(`# yaml-language-server: $schema=https://kos.example/plan.schema.json\n${source}`);
    expect(Object.keys((saved.body['document'] as { steps: object }).steps)).toEqual(['zebra', 'apple']);
  });

  it('get one version each, of twenty saved at once', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => save(plan('race', `"${index % 10}"`))));
    expect(new Set(answers.map(({ body }) => body['version'])).size).toBe(10);
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(10);
    const versions = (await api.call('GET', '/v1/plans/race/versions')).body.items.map((item) => item['version']);
    expect(versions).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  });

  it('with faults are refused, each fault with its line and column', async () => {
    const source = 'plan: faulty\nsteps:\n  shout: { tool: text.uper }\n  other: { transform: "${steps.nowhere.output}" }\n';
    const refused = await save(source);
    expect([refused.status, refused.body.code]).toEqual([422, 'plan_invalid']);
    expect(refused.body.errors).toEqual(
      expect.arrayContaining([expect.objectContaining({ line: 3, column: expect.any(Number) }), expect.objectContaining({ line: 4 })]),
    );
    const verdict = await api.call('POST', '/v1/plans/validate', { body: { source } });
    expect([verdict.status, verdict.body['valid'], verdict.body.errors]).toEqual([200, false, refused.body.errors]);
    expect((await api.call('POST', '/v1/plans/validate', { body: { source: plan('fine', 'x') } })).body).toMatchObject({
      valid: true,
      errors: [],
      name: 'fine',
    });
    expect((await api.call('GET', '/v1/plans/fine')).body.code).toBe('plan_not_found');
  });

  it('of 2 MB are told that they are too large; of 5 MB are not even read', async () => {
    const two = await save(`plan: large\n# ${'x'.repeat(2_000_000)}\n`);
    expect([two.status, two.body.code]).toEqual([422, 'plan_invalid']);
    const five = await save(`plan: large\n# ${'x'.repeat(5_000_000)}\n`);
    expect([five.status, five.body.code]).toEqual([413, 'body_too_large']);
  });

  it('are listed by name, page by page', async () => {
    const first = await api.call('GET', '/v1/plans?limit=2');
    const second = await api.call('GET', `/v1/plans?limit=2&cursor=${first.body.nextCursor}`);
    const names = [...first.body.items, ...second.body.items].map((item) => item['name'] as string);
    expect(names).toEqual(names.toSorted());
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('secrets', () => {
  const put = (name: string, value: string, hosts: string[]) => api.call('PUT', `/v1/secrets/${name}`, { body: { value, hosts } });

  it('are written and never shown', async () => {
    expect((await put('token', 'hunter2-hunter2', ['API.example.com'])).body).toMatchObject({ name: 'token', hosts: ['api.example.com'], version: 1 });
    expect((await put('token', 'correct-horse', ['api.example.com', '*.example.org:8443'])).body['version']).toBe(2);
    for (const path of ['/v1/secrets', '/v1/secrets/token']) {
      const { status, text } = await api.call('GET', path);
      expect([status, text.includes('horse'), text.includes('hunter2')]).toEqual([200, false, false]);
    }
    const [row] = await api.rig.system.sql<{ sealed: Buffer }[]>`select sealed from kos.secrets where name = 'token'`;
    expect(row!.sealed.includes('correct-horse')).toBe(false);
    expect(await audit('token')).toEqual([
      { action: 'secret.set', data: { hosts: ['api.example.com'], version: 1 } },
      { action: 'secret.set', data: { hosts: ['*.example.org:8443', 'api.example.com'], version: 2 } },
    ]);
  });

  it('are opened for the hosts they are bound to, in their own workspace, under their own name', async () => {
    await put('bound', 'value-of-bound', ['api.example.com', '*.example.org:8443']);
    const { secrets } = api.dependencies;
    const open = (host: string, handle = 'secret://bound', workspaceId = api.owner.workspaceId) => secrets.open(workspaceId, handle, host);
    for (const host of ['api.example.com', 'API.example.com:443', 'a.example.org:8443', 'a.b.example.org:8443'])
      expect([host, await open(host)]).toEqual([host, 'value-of-bound']);
    for (const host of [
      'example.com',
      'evil-api.example.com',
      'api.example.com.evil.example',
      'example.org:8443',
      'a.example.org',
      'a.example.org:443',
      '.example.org:8443',
    ])
      await expect(open(host), host).rejects.toMatchObject({ code: 'secret_refused', fix: expect.stringContaining('kai secret set bound') });
    for (const handle of ['bound', 'secret://', 'secret://other', 'secret://../x', 'secret://bound/'])
      await expect(open('api.example.com', handle), handle).rejects.toMatchObject({ code: 'secret_refused' });
    await expect(open('api.example.com', 'secret://bound', await api.makeWorkspace())).rejects.toMatchObject({ code: 'secret_refused' });
    await put('copy', 'value-of-copy', ['api.example.com']);
    await api.rig.system.sql`update kos.secrets set sealed = (select sealed from kos.secrets where name = 'bound') where name = 'copy'`;
    await expect(open('api.example.com', 'secret://copy')).rejects.toMatchObject({ code: 'sealed_data_refused' });
  });

  it('are gone when removed', async () => {
    await put('gone', 'x', []);
    expect((await api.call('DELETE', '/v1/secrets/gone')).status).toBe(204);
    expect((await api.call('DELETE', '/v1/secrets/gone')).body.code).toBe('secret_not_found');
    expect((await api.call('GET', '/v1/secrets/gone')).status).toBe(404);
  });
});

describe('settings', () => {
  const patch = (body: object, etag?: string) => api.call('PATCH', '/v1/settings', { body, ...(etag === undefined ? {} : { headers: { 'if-match': etag } }) });

  it('start with their defaults, and show the folders that are always open', async () => {
    const { body, headers } = await api.call('GET', '/v1/settings');
    expect(body).toMatchObject({ roots: [], egress: [], retention: { runsDays: 90, eventsDays: 30 }, version: 0 });
    expect(body['builtInRoots']).toContainEqual({ path: '/var/log', write: false });
    expect(headers.get('etag')).toBe('"settings-0"');
  });

  it('change by what is named, on the state that was read', async () => {
    const first = await patch({ egress: ['api.example.com:443'] }, '"settings-0"');
    expect([first.status, first.body['egress'], first.body['version'], first.headers.get('etag')]).toEqual([200, ['api.example.com:443'], 1, '"settings-1"']);
    const second = await patch({ retention: { runsDays: 7, eventsDays: 3 } }, '"settings-1"');
    expect(second.body).toMatchObject({ egress: ['api.example.com:443'], retention: { runsDays: 7, eventsDays: 3 } });
    expect((await patch({ egress: [] }, '"settings-1"')).body).toMatchObject({ status: 412, code: 'settings_changed', currentVersion: 2 });
    expect((await patch({ egress: [] }, '"another"')).status).toBe(412);
    expect((await patch({ egress: ['no port'] }, '"settings-2"')).body).toMatchObject({
      status: 400,
      errors: [{ pointer: '/egress/0', message: expect.stringContaining('host:port') }],
    });
    expect((await patch({ colour: 1 }, '"settings-2"')).status).toBe(400);
    expect((await audit(api.owner.workspaceId)).filter(({ action }) => action === 'settings.change')).toHaveLength(2);
  });

  it('take no entry that would stay refused, and say why', async () => {
    const { headers, body } = await api.call('GET', '/v1/settings');
    const etag = headers.get('etag') ?? '';
    const roots = [{ path: api.dependencies.places.home, write: true }];
    expect((await patch({ egress: ['api.example.com:443', '127.0.0.1:3000'], roots }, etag)).body).toMatchObject({
      status: 422,
      code: 'settings_unusable',
      errors: [
        { pointer: '/egress/1', message: expect.stringContaining('a port of kOS itself') },
        { pointer: '/roots/0/path', message: expect.stringContaining('belongs to kOS itself') },
      ],
    });
    expect((await api.call('GET', '/v1/settings')).body).toEqual(body);
  });

  it('take one of ten changes that were made at once on the same state', async () => {
    const { headers } = await api.call('GET', '/v1/settings');
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => patch({ egress: [`host-${index}.example:443`] }, headers.get('etag') ?? '')));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, ...Array.from({ length: 9 }, () => 412)]);
  });
});

describe('artifacts', () => {
  const addArtifact = async (name: string, mediaType: string, content: string): Promise<string> => {
    const { workspaceId } = api.owner;
    const stored = await api.dependencies.artifacts.putArtifact(workspaceId, Buffer.from(content));
    const id = newId('artifact');
    await api.rig.database.inWorkspace(workspaceId, async (transaction) => {
      const runId = await insertRun(transaction, { workspaceId });
      await transaction.sql`
        insert into kos.artifacts (id, workspace_id, run_id, step_path, name, media_type, size_bytes, sha256)
        values (${id}, ${workspaceId}, ${runId}, 'report', ${name}, ${mediaType}, ${stored.sizeBytes}, ${stored.sha256})`;
    });
    return id;
  };

  it('come as files to save, whatever is in them', async () => {
    const content = '<script>alert(1)</script>';
    const id = await addArtifact('../Größe "1".html', 'text/html; charset=utf-8', content);
    expect((await api.call('GET', `/v1/artifacts/${id}`)).body).toMatchObject({ id, name: '../Größe "1".html', sizeBytes: content.length });
    const { text, headers } = await api.call('GET', `/v1/artifacts/${id}/content`);
    expect(text).toBe(content);
    expect(headers.get('content-security-policy')).toBe("sandbox; default-src 'none'");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-disposition')).toBe(`attachment; filename="Gr__e _1_.html"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%221%22.html`);
    expect([headers.get('content-type'), headers.get('content-length')]).toEqual(['text/html; charset=utf-8', String(content.length)]);
  });

  it('with a media type that is none come as bytes', async () => {
    const id = await addArtifact('x', 'text/plain\r\nset-cookie: a=b', 'x');
    const { headers } = await api.call('GET', `/v1/artifacts/${id}/content`);
    expect([headers.get('content-type'), headers.get('set-cookie')]).toEqual(['application/octet-stream', null]);
  });

  it('are listed by run, and missing content is told apart from a missing artifact', async () => {
    const id = await addArtifact('lost.txt', 'text/plain', `lost ${Math.random()}`);
    const { body } = await api.call('GET', `/v1/artifacts/${id}`);
    expect((await api.call('GET', `/v1/artifacts?run=${String(body['runId'])}`)).body.items.map((item) => item.id)).toEqual([id]);
    await api.dependencies.artifacts.remove({ workspaceId: api.owner.workspaceId, sha256: String(body['sha256']) }, new Date(Date.now() + 60_000));
    expect((await api.call('GET', `/v1/artifacts/${id}/content`)).body).toMatchObject({ status: 404, code: 'artifact_content_missing' });
    expect((await api.call('GET', `/v1/artifacts/${newId('artifact')}`)).body.code).toBe('artifact_not_found');
  });
});
