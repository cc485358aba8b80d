import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { identifyProcess } from '#services/embedded/process-identity.ts';
import { type FixtureServer, type Handler, problem, startFixtureServer } from '#tests/kai/fixture-server.ts';
import { type KaiOptions, type KaiResult, makeHome, runKai } from '#tests/kai/run-kai.ts';
import { anApproval, anArtifact, aPlan, approvalId, aRun, artifactId, page, runId } from '#tests/kai/shapes.ts';

let server: FixtureServer;

async function kai(words: string[], routes: Record<string, Handler>, options: Partial<KaiOptions> = {}): Promise<KaiResult> {
  server = await startFixtureServer(routes);
  return await runKai(words, { home: await makeHome(server), ...options });
}

afterEach(async () => {
  await server.close();
});

describe('talking to the server', () => {
  test('a problem is told as its message, its faults and its remedy', async () => {
    const { code, stdout, stderr } = await kai(['run', 'get', runId], {
      'GET /v1/runs/{id}': () => ({
        status: 404,
        json: problem({
          status: 404,
          code: 'run_not_found',
          detail: 'There is no such run.',
          fix: 'kai run list',
          errors: [{ pointer: '/id', message: 'unknown' }],
        }),
      }),
    });
    expect({ code, stdout, stderr }).toEqual({ code: 5, stdout: '', stderr: 'error: There is no such run.\n  /id: unknown\nfix: kai run list\n' });
  });

  test.each([
    [401, 4],
    [403, 4],
    [404, 5],
    [409, 6],
    [412, 6],
    [422, 1],
    [500, 1],
  ])('HTTP %i is exit code %i', async (status, expected) => {
    const { code } = await kai(['api', 'GET', '/v1/me'], { 'GET /v1/me': () => ({ status, json: problem({ status, code: 'some_code', detail: 'No.' }) }) });
    expect(code).toBe(expected);
  });

  test('a file that is not UTF-8 is refused, not read as something else', async () => {
    const home = await makeHome();
    await writeFile(join(home, 'odd.yaml'), Buffer.from('plan: odd\nsteps: { a: { transform: "\xe9\xff" } }\n', 'latin1'));
    const { code, stderr } = await kai(['plan', 'validate', 'odd.yaml'], {}, { cwd: home });
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'error: odd.yaml is not UTF-8 text.\nfix: Save it as UTF-8.\n' });
  });

  test('a key that this machine’s own server does not know is told with what makes another one', async () => {
    const refusal = problem({ status: 401, code: 'credential_refused', detail: 'The credential is unknown.', fix: 'Send Authorization: Bearer.' });
    const { code, stderr } = await kai(['api', 'GET', '/v1/me'], { 'GET /v1/me': () => ({ status: 401, json: refusal }) });
    expect({ code, stderr }).toEqual({ code: 4, stderr: expect.stringContaining('every start writes a key') });
  });

  test('a start that breaks off is repeated under the same idempotency key', async () => {
    let tries = 0;
    const { code, stdout } = await kai(['run', 'start', 'triage'], {
      'GET /v1/plans/triage': () => ({ json: aPlan() }),
      'POST /v1/runs': () => {
        tries += 1;
        return tries < 2 ? { broken: true } : { status: 202, json: { id: runId, status: 'queued', url: 'http://x/run' } };
      },
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${runId}\nhttp://x/run\n` });
    const keys = server.received.filter((request) => request.method === 'POST').map((request) => request.headers['idempotency-key']);
    expect(keys).toHaveLength(2);
    expect(new Set(keys).size).toBe(1);
  });

  test('the same command under the same given key sends the same body, though the plan got a new version meanwhile', async () => {
    let version = 0;
    const routes: Record<string, Handler> = {
      'GET /v1/plans/triage': () => ({ json: { ...aPlan(), version: (version += 1) } }),
      'POST /v1/runs': () => ({ status: 202, json: { id: runId, status: 'queued', url: 'http://x/run' } }),
    };
    server = await startFixtureServer(routes);
    const home = await makeHome(server);
    for (let time = 0; time < 2; time += 1) expect((await runKai(['run', 'start', 'triage', '--idempotency-key', 'nightly'], { home })).code).toBe(0);
    const starts = server.received.filter((request) => request.method === 'POST');
    expect(starts.map((start) => start.headers['idempotency-key'])).toEqual(['nightly', 'nightly']);
    expect(new Set(starts.map((start) => start.body)).size).toBe(1);
  });

  test('a POST without an idempotency key is not repeated', async () => {
    const { code } = await kai(['api', 'PATCH', '/v1/settings', '--data', '{}'], { 'PATCH /v1/settings': () => ({ broken: true }) });
    expect(code).toBe(1);
    expect(server.received).toHaveLength(1);
  });

  test('waits as long as Retry-After says, and tries again', async () => {
    let tries = 0;
    const { code } = await kai(['api', 'GET', '/v1/me'], {
      'GET /v1/me': () => {
        tries += 1;
        return tries === 1
          ? { status: 429, headers: { 'retry-after': '1' }, json: problem({ status: 429, code: 'rate_limited', detail: 'Slower.' }) }
          : { json: {} };
      },
    });
    expect({ code, tries }).toEqual({ code: 0, tries: 2 });
  });

  test('something else on that port is not taken for kOS', async () => {
    const { code, stderr } = await kai(['run', 'list'], {
      'GET /v1/runs': () => ({ status: 404, bytes: '<h1>Not here</h1>', headers: { 'content-type': 'text/html' } }),
    });
    expect(code).toBe(1);
    expect(stderr).toContain('is not kOS: HTTP 404 text/html');
  });

  test('the key of the key file goes to its own server alone', async () => {
    const other = await startFixtureServer({});
    const { code, stderr } = await kai(['run', 'list'], {}, { env: { KOS_URL: other.url } });
    expect(code).toBe(4);
    expect(stderr).toContain(`There is no key for ${other.url}`);
    expect(other.received).toEqual([]);
    await other.stop();
  });

  test('KOS_URL and KOS_API_KEY need no home', async () => {
    server = await startFixtureServer({ 'GET /v1/runs': () => ({ json: page() }) });
    const { code } = await runKai(['run', 'list', '--json'], { home: await makeHome(), env: { KOS_URL: `${server.url}/`, KOS_API_KEY: server.apiKey } });
    expect(code).toBe(0);
  });

  test('a key file that cannot be read is a matter of rights', async () => {
    server = await startFixtureServer({});
    const home = await makeHome();
    await mkdir(join(home, 'cli.json'));
    const { code, stderr } = await runKai(['run', 'list'], { home });
    expect(code).toBe(4);
    expect(stderr).toContain("it holds the owner's key");
  });
});

describe('lists', () => {
  test('an empty list says how to begin, on standard error', async () => {
    const { code, stdout, stderr } = await kai(['run', 'list'], { 'GET /v1/runs': () => ({ json: page() }) });
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toContain('kai run start');
  });

  test('filters and pages reach the server; whole ids are shown, control characters made visible', async () => {
    const { stdout, stderr } = await kai(['run', 'list', '--status', 'failed', '--status', 'waiting', '--plan', 'triage', '--label', 'team=a', '-n', '1'], {
      'GET /v1/runs': () => ({
        json: {
          items: [aRun({ status: 'failed', error: { code: 'boom', message: 'went \u001b[31mred\nand on', fix: null, stepPath: 'read' } })],
          nextCursor: 'next',
        },
      }),
    });
    expect(server.received[0]?.query.toString()).toBe('limit=1&plan=triage&status=failed&status=waiting&label=team%3Da&parent=none');
    expect(stdout).toContain(runId);
    expect(stdout).toContain('went \\u{1b}[31mred ⏎ and on');
    expect(stdout.trimEnd().split('\n')).toHaveLength(2);
    expect(stderr).toContain('--cursor next');
  });

  test('--json gives the page as it is', async () => {
    const list = page(aRun());
    const { stdout } = await kai(['run', 'list', '--json'], { 'GET /v1/runs': () => ({ json: list }) });
    expect(JSON.parse(stdout)).toEqual(list);
  });
});

describe('ids', () => {
  const others = [aRun({ id: 'run_01930000-0000-7000-8000-00000000aaab' }), aRun()];

  test('"last" and a unique end are the whole id', async () => {
    const routes = {
      'GET /v1/runs': () => ({ json: page(...others) }),
      'GET /v1/runs/{id}/explain': () => ({ json: { runId, status: 'running', reasons: [] } }),
    };
    expect((await kai(['run', 'why', 'aaaa'], routes)).code).toBe(0);
    expect(server.received.at(-1)?.path).toBe(`/v1/runs/${runId}/explain`);
    await server.stop();
    expect((await kai(['run', 'why', 'last'], routes)).code).toBe(0);
    expect(server.received.at(-1)?.path).toBe(`/v1/runs/${others[0]?.id}/explain`);
  });

  test('what fits several, or none, is refused', async () => {
    const several = await kai(['run', 'get', 'run_0193'], { 'GET /v1/runs': () => ({ json: page(...others) }) });
    expect(several.code).toBe(2);
    expect(several.stderr).toContain('fits 2 runs');
    await server.stop();
    const none = await kai(['run', 'get', 'ffff'], { 'GET /v1/runs': () => ({ json: page(...others) }) });
    expect(none.code).toBe(5);
  });
});

describe('plans', () => {
  test('versions are listed, and a page says how to go on', async () => {
    const versions = { items: [{ ...aPlan(), version: 7 }], nextCursor: 'more' };
    const { code, stdout, stderr } = await kai(['plan', 'versions', 'triage', '--limit', '1'], { 'GET /v1/plans/{name}/versions': () => ({ json: versions }) });
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^VERSION .*\ntriage@7 .*prn_0193.* dddddddddddd +Reads logs\.\n$/) });
    expect(stderr).toContain('--cursor more');
    expect(server.received[0]?.path).toContain('/v1/plans/triage/versions');
  });

  const source = 'plan: triage\nsteps:\n  report: { tool: fs.raed }\n';
  const faults = [{ pointer: '/steps/report/tool', message: 'there is no tool fs.raed', line: 3, column: 19, suggestion: 'did you mean "fs.read"?' }];

  test('faults are shown in their place, as editors read them', async () => {
    server = await startFixtureServer({
      'POST /v1/plans/validate': (request) => ({ json: request.body === source ? { valid: false, errors: faults } : { valid: true, errors: [] } }),
    });
    const home = await makeHome(server);
    await writeFile(join(home, 'bad.yaml'), source);
    await writeFile(join(home, 'good.yaml'), 'plan: good\nsteps: {}\n');
    const { code, stdout } = await runKai(['plan', 'validate', 'bad.yaml', 'good.yaml'], { home });
    expect(code).toBe(1);
    expect(stdout).toBe(
      [
        'bad.yaml:3:19: there is no tool fs.raed',
        '    3 |   report: { tool: fs.raed }',
        '      |                   ^',
        '  help: did you mean "fs.read"?',
        '',
        'bad.yaml: 1 fault',
        'good.yaml: valid',
        '',
      ].join('\n'),
    );
    expect(server.received[0]?.headers['content-type']).toBe('application/yaml');
    const json = await runKai(['plan', 'validate', '-', '--json'], { home, input: source });
    expect(JSON.parse(json.stdout)).toEqual({ items: [{ file: '-', valid: false, errors: faults }] });
    expect(json.code).toBe(1);
  });

  test('save tells the version; a plan that cannot be saved keeps no other from it', async () => {
    server = await startFixtureServer({
      'POST /v1/plans': (request) =>
        request.headers['content-type'] === 'application/json'
          ? { status: 201, json: aPlan() }
          : { status: 422, json: problem({ status: 422, code: 'plan_invalid', detail: 'The plan has 1 fault.', errors: faults }) },
    });
    const home = await makeHome(server);
    await writeFile(join(home, 'bad.yaml'), source);
    await writeFile(join(home, 'good.json'), '{"plan":"triage"}');
    const { code, stdout, stderr } = await runKai(['plan', 'save', 'bad.yaml', 'good.json'], { home });
    expect({ code, stdout }).toEqual({ code: 1, stdout: 'triage@1\n' });
    expect(stderr).toContain('bad.yaml:3:19');
    expect(JSON.parse(server.received[1]?.body ?? '')).toEqual({ source: '{"plan":"triage"}', format: 'json' });
  });

  test('get gives the text back as it was written', async () => {
    const { stdout } = await kai(['plan', 'get', 'triage@1'], { 'GET /v1/plans/triage/versions/1': () => ({ json: aPlan() }) });
    expect(stdout).toBe('plan: triage\nsteps: {}\n');
  });

  test('a file that is not there is named', async () => {
    const { code, stderr } = await kai(['plan', 'validate', 'nowhere.yaml'], {});
    expect(code).toBe(1);
    expect(stderr).toContain('nowhere.yaml cannot be used: there is no such file');
  });
});

describe('approvals', () => {
  const open = { 'GET /v1/approvals/{id}': () => ({ json: anApproval() }) };

  test('approve --yes sends the digest of what it read', async () => {
    const { code, stderr } = await kai(['approval', 'approve', approvalId, '--yes', '--reason', 'looks right'], {
      ...open,
      'POST /v1/approvals/{id}/decisions': () => ({ json: anApproval({ status: 'approved' }) }),
    });
    expect(code).toBe(0);
    expect(stderr).toContain(`Approved ${approvalId}`);
    const decision = server.received.at(-1);
    expect(JSON.parse(decision?.body ?? '')).toEqual({ decision: 'approve', argumentsDigest: 'a'.repeat(64), reason: 'looks right' });
    expect(decision?.headers['idempotency-key']).toBeDefined();
  });

  test('where nobody can confirm, nothing is decided', async () => {
    const { code, stderr } = await kai(['approval', 'approve', approvalId], open);
    expect(code).toBe(2);
    expect(stderr).toContain('--yes');
    // What would be decided was shown: the report as text, and the digest.
    expect(stderr).toContain('    # Report\n    All is well.');
    expect(stderr).toContain('a'.repeat(64));
    expect(server.received.map((request) => request.method)).toEqual(['GET']);
  });

  test('arguments that have changed since are not approved', async () => {
    const digest = 'c'.repeat(64);
    const { code, stderr } = await kai(['approval', 'approve', approvalId, '--yes', '--digest', digest], {
      ...open,
      'POST /v1/approvals/{id}/decisions': () => ({
        status: 412,
        json: problem({ status: 412, code: 'arguments_changed', detail: 'Changed.', extra: { arguments: [] } }),
      }),
    });
    expect(code).toBe(6);
    expect(stderr).toContain('Nothing was decided');
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).toMatchObject({ argumentsDigest: digest });
  });

  test('a decided one is a conflict', async () => {
    const { code, stderr } = await kai(['approval', 'deny', approvalId, '--yes'], {
      'GET /v1/approvals/{id}': () => ({ json: anApproval({ status: 'expired' }) }),
    });
    expect(code).toBe(6);
    expect(stderr).toContain('is expired');
  });

  test('what was ended by hand is said where its arguments stand', async () => {
    const endedByHand = [{ stepPath: 'report', action: 'skip' as const, by: 'prn_ada', reason: 'written already' }];
    const { stdout } = await kai(['approval', 'get', approvalId], { 'GET /v1/approvals/{id}': () => ({ json: anApproval({ endedByHand }) }) });
    expect(stdout).toContain('report artifact was skipped by prn_ada (written already): it does not run, whatever is decided.');
    expect(stdout).not.toContain('would run with');
  });

  test('arguments cannot rewrite what the reader sees', async () => {
    const { stdout } = await kai(['approval', 'get', approvalId], {
      'GET /v1/approvals/{id}': () => ({
        json: anApproval({ arguments: [{ stepPath: 'pay', kind: 'tool', tool: 'http.fetch', input: { body: 'pay 1 to \u202eecila\nthen\u001b[2K' } }] }),
      }),
    });
    expect(stdout).toContain('pay 1 to \\u{202e}ecila');
    expect(stdout).toContain('then\\u{1b}[2K');
    for (const character of ['\u001b', '\u202e']) expect(stdout).not.toContain(character);
  });
});

describe('the times of a run', () => {
  const accepted = () => ({ status: 202, json: { id: runId, status: 'queued', url: 'http://x/run' } });
  const deadlineAskedAt = '2031-01-01T00:00:00.000Z';

  test('a start names its instants and how long it may take', async () => {
    await kai(['run', 'start', 'triage', '--time-limit', '15m', '--deadline', '2031-01-01T00:00:00Z'], {
      'GET /v1/plans/triage': () => ({ json: aPlan() }),
      'POST /v1/runs': accepted,
    });
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).toMatchObject({ timeoutMs: 900_000, deadlineAt: deadlineAskedAt });
  });

  test('a replay says which instants it leaves to the first run, unless it has its own', async () => {
    const routes = { 'GET /v1/runs/{id}': () => ({ json: aRun({ deadlineAskedAt }) }), 'POST /v1/runs/{id}/replay': accepted };
    const { stderr } = await kai(['run', 'replay', runId], routes);
    expect(stderr).toContain(`Not taken over from ${runId}: its deadline (${deadlineAskedAt}).`);
    await server.close();
    const own = await kai(['run', 'replay', runId, '--deadline', '+1h', '--priority', '1'], routes);
    expect(own.stderr).not.toContain('Not taken over');
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).toMatchObject({ priority: 1, deadlineAt: expect.stringMatching(/Z$/) });
  });

  test('a retry says what became of its start and its deadline', async () => {
    const retried = async (change: object) => {
      const { stderr } = await kai(['run', 'retry', runId], { 'POST /v1/runs/{id}/retry': () => ({ status: 202, json: aRun(change) }) });
      await server.close();
      return stderr;
    };
    expect(await retried({})).toContain(`${runId} goes on.`);
    const waits = { status: 'queued', startedAt: null };
    expect(await retried({ ...waits, startAt: '2091-01-01T00:00:00.000Z' })).toContain('starts at 2091-01-01T00:00:00.000Z, as it was to.');
    const begun = await retried({ status: 'queued', startAt: '2021-01-01T00:00:00.000Z', ending: 'failed', deadlineAskedAt, deadlineAt: deadlineAskedAt });
    expect(begun).toContain(`${runId} goes on undoing what it did. Watch it`);
    expect(await retried({ deadlineAskedAt: '2021-01-01T00:00:00.000Z' })).toContain('Its deadline (2021-01-01T00:00:00.000Z) has passed and no longer holds.');
    // By the server's clock: ours may be another.
    const passed = { deadlineAskedAt: '2091-01-01T00:00:00.000Z', deadlineAt: '2091-01-01T00:15:00.000Z' };
    expect(await retried(passed)).toContain('Its deadline (2091-01-01T00:00:00.000Z) has passed and no longer holds.');
    const earlier = { deadlineAskedAt: '2021-01-01T00:15:00.000Z', deadlineAt: '2021-01-01T00:00:00.000Z' };
    expect(await retried(earlier)).toContain('Its deadline (2021-01-01T00:15:00.000Z) still holds.');
    server = await startFixtureServer({});
  });
});

describe('artifacts', () => {
  const content = Buffer.from([0, 1, 2, 255]);
  const routes = {
    'GET /v1/artifacts/{id}/content': () => ({ bytes: content, headers: { 'content-type': 'application/octet-stream' } }),
    'GET /v1/artifacts': () => ({ json: page(anArtifact()) }),
  };

  test('into a file: whole, and never over another unless told', async () => {
    server = await startFixtureServer(routes);
    const home = await makeHome(server);
    expect(await runKai(['artifact', 'get', artifactId, '-o', 'out.bin'], { home })).toMatchObject({ code: 0, stdout: '' });
    expect(await readFile(join(home, 'out.bin'))).toEqual(content);
    const again = await runKai(['artifact', 'get', 'last', '-o', 'out.bin'], { home });
    expect(again).toMatchObject({ code: 6, stderr: expect.stringContaining('--force') });
    expect(await runKai(['artifact', 'get', 'last', '-o', 'out.bin', '--force'], { home })).toMatchObject({ code: 0 });
  });

  test('a device is written to, not replaced', async () => {
    const { code } = await kai(['artifact', 'get', artifactId, '-o', '/dev/null', '--force'], routes);
    expect(code).toBe(0);
    await expect(readFile('/dev/null', 'utf8')).resolves.toBe('');
  });

  test('to standard output, byte for byte', async () => {
    const text = 'line one\nline two, no end';
    const { stdout } = await kai(['artifact', 'get', artifactId], { 'GET /v1/artifacts/{id}/content': () => ({ bytes: text }) });
    expect(stdout).toBe(text);
  });
});

describe('secrets', () => {
  test('the value comes from standard input, less one line end', async () => {
    const { code, stdout, stderr } = await kai(
      ['secret', 'set', 'github', '--host', 'api.github.com', '--host', '*.github.com'],
      { 'PUT /v1/secrets/github': () => ({ json: { name: 'github', hosts: [], version: 1, createdAt: '', updatedAt: '' } }) },
      { input: 's3cret\n' },
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).not.toContain('s3cret');
    expect(JSON.parse(server.received[0]?.body ?? '')).toEqual({ value: 's3cret', hosts: ['api.github.com', '*.github.com'] });
  });

  test.each([
    [['secret', 'set', 'x'], '', 'none is given'],
    [['secret', 'set', 'x', '--host', 'h'], '\n', 'is empty'],
  ])('%j is refused', async (words, input, message) => {
    const { code, stderr } = await kai(words, {}, { input });
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe('settings', () => {
  const settings = {
    roots: [{ path: '/srv', write: false }],
    egress: ['a.example:443'],
    runsAtOnce: null,
    retention: { runsDays: 90, eventsDays: 30 },
    builtInRoots: [{ path: '/var/log', write: false }],
    version: 4,
  };
  const read: Handler = () => ({ json: settings, headers: { etag: '"settings-4"' } });

  test('shows what tools may reach', async () => {
    const { stdout } = await kai(['settings'], { 'GET /v1/settings': read });
    for (const text of ['/var/log', '/srv', 'a.example:443', '90 days']) expect(stdout).toContain(text);
  });

  test.each([
    [
      ['add', 'roots', 'data', '--write'],
      {
        roots: [
          { path: '/srv', write: false },
          { path: '/tmp/data', write: true },
        ],
      },
    ],
    [['add', 'egress', 'b.example:443'], { egress: ['a.example:443', 'b.example:443'] }],
    [['remove', 'roots', '/srv'], { roots: [] }],
    [['remove', 'egress', 'a.example:443'], { egress: [] }],
    [['set', 'retention.runsDays', '30'], { retention: { runsDays: 30, eventsDays: 30 } }],
  ])('%j changes that and nothing else, on what was read', async (words, change) => {
    const { code } = await kai(['settings', ...words], { 'GET /v1/settings': read, 'PATCH /v1/settings': () => ({ json: settings }) }, { cwd: '/tmp' });
    expect(code).toBe(0);
    expect(server.received.at(-1)?.headers['if-match']).toBe('"settings-4"');
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).toEqual(change);
  });

  test('a change that somebody overtook is made again on theirs', async () => {
    let tries = 0;
    const { code } = await kai(['settings', 'add', 'egress', 'b.example:443'], {
      'GET /v1/settings': read,
      'PATCH /v1/settings': () => {
        tries += 1;
        return tries === 1 ? { status: 412, json: problem({ status: 412, code: 'settings_changed', detail: 'Changed.' }) } : { json: settings };
      },
    });
    expect({ code, tries }).toEqual({ code: 0, tries: 2 });
  });

  test.each([[['add', 'hosts', 'x']], [['remove', 'egress', 'b:1']], [['set', 'speed', '9']], [['set', 'retention.runsDays', 'many']]])(
    '%j is a usage error',
    async (words) => {
      expect((await kai(['settings', ...words], { 'GET /v1/settings': read })).code).toBe(2);
    },
  );
});

describe('api', () => {
  test('sends what it is told, signed in, and prints the answer', async () => {
    const { code, stdout, stderr } = await kai(
      ['api', 'post', '/v1/runs?x=1', '--data', '@body.json', '--include'],
      { 'POST /v1/runs': (request) => ({ status: 202, json: JSON.parse(request.body) }) },
      {
        cwd: await (async () => {
          const folder = await makeHome();
          await writeFile(join(folder, 'body.json'), '{"plan":"p"}');
          return folder;
        })(),
      },
    );
    expect({ code, answer: JSON.parse(stdout) }).toEqual({ code: 0, answer: { plan: 'p' } });
    expect(stderr).toContain('HTTP 202');
    expect(server.received[0]?.query.get('x')).toBe('1');
    expect(server.received[0]?.headers['idempotency-key']).toBeDefined();
  });

  test.each([['https://elsewhere.example/v1'], ['//elsewhere.example/v1'], ['v1/runs']])('the key does not leave for %s', async (path) => {
    expect((await kai(['api', 'GET', path], {})).code).toBe(2);
    expect(server.received).toEqual([]);
  });
});

describe('status and doctor', () => {
  const starts = {
    hold: null,
    waiting: 0,
    next: [],
    admission: { runsAtOnce: null, because: null, atWork: 1, waiting: 0 },
    queueOrder: { fair: true, byPriority: true },
  };
  const routes: Record<string, Handler> = {
    'GET /readyz': () => ({ json: { status: 'ready', parts: { database: 'ok', temporal: 'ok', workers: 'ok' } } }),
    'GET /v1/me': () => ({
      json: {
        principal: { id: 'prn', name: 'Owner' },
        workspace: { id: 'ws', slug: 'default', name: 'Default' },
        roles: ['owner'],
        permissions: [],
        version: '0.1.0',
      },
    }),
    'GET /v1/overview': () => ({ json: { runs: { running: 1, succeeded: 12 }, openApprovals: 2, parts: {} } }),
    'GET /v1/starts': () => ({ json: starts }),
  };

  test('status says what runs and waits', async () => {
    const { code, stdout } = await kai(['status'], routes);
    expect(code).toBe(0);
    for (const text of ['ready at', '1 running, 12 succeeded', '2 wait for a decision', 'database ok']) expect(stdout).toContain(text);
    expect(stdout).not.toContain('free');
  });

  test('status says how much room the disk of a kOS on this machine has', async () => {
    server = await startFixtureServer(routes);
    const home = await makeHome(server);
    await mkdir(join(home, 'run'));
    await writeFile(join(home, 'run', 'supervisor.json'), JSON.stringify({ pid: process.pid, started: 'once' }));
    expect((await runKai(['status'], { home })).stdout).toMatch(/disk +\d[\d.,]* [kMGT]?B free/);
    const { disk } = JSON.parse((await runKai(['status', '--json'], { home })).stdout) as { disk: { freeBytes: number; runsWait: boolean } };
    expect(disk).toEqual({ freeBytes: expect.any(Number), runsWait: disk.freeBytes < 1_000_000_000 });
  });

  test('status says that new runs are held back', async () => {
    const held = { ...starts, hold: { since: '2026-01-01T12:00:00.000Z', by: 'prn_a', reason: 'maintenance' }, waiting: 3 };
    const { stdout } = await kai(['status'], { ...routes, 'GET /v1/starts': () => ({ json: held }) });
    for (const text of ['No new run starts', 'maintenance', '3 wait: kai resume --all']) expect(stdout).toContain(text);
  });

  test('status of a server without a worker is an error that names the part', async () => {
    const { code, stdout } = await kai(['status'], {
      ...routes,
      'GET /readyz': () => ({
        status: 503,
        json: problem({ status: 503, code: 'not_ready', detail: 'Not ready.', extra: { parts: { database: 'ok', temporal: 'ok', workers: 'down' } } }),
      }),
    });
    expect(code).toBe(1);
    expect(stdout).toContain('workers down');
  });

  test('doctor does not take another program on the usual port for kOS', async () => {
    server = await startFixtureServer(routes);
    const home = await makeHome(server);
    const port = new URL(server.url).port;
    await mkdir(join(home, 'run'));
    await writeFile(join(home, 'run', 'supervisor.json'), JSON.stringify(await identifyProcess(process.pid)));
    const portFinding = async (listensAt: number): Promise<string> => {
      await writeFile(join(home, 'run', 'part-facts.json'), JSON.stringify({ port: listensAt }));
      const { stdout } = await runKai(['doctor', '--json'], { home, env: { KOS_PORT: port } });
      return (JSON.parse(stdout) as { findings: { name: string; text: string }[] }).findings.find(({ name }) => name === 'port')?.text ?? '';
    };
    expect(await portFinding(Number(port))).toContain('as it should be');
    expect(await portFinding(4103)).toBe(`kOS listens on port 4103; another program holds 127.0.0.1:${port}`);
  });

  test('doctor finds nothing but that no supervisor runs here', async () => {
    const { code, stdout } = await kai(['doctor', '--json'], routes, { env: { KOS_PORT: '0' } });
    const { findings } = JSON.parse(stdout) as { findings: { name: string; verdict: string }[] };
    expect(findings.filter((finding) => finding.verdict === 'fault')).toEqual([]);
    expect(findings.find((finding) => finding.name === 'processes')).toMatchObject({ verdict: 'warning' });
    expect(code).toBe(0);
  });

  test('doctor sees a key that others can read, and a key that is refused', async () => {
    server = await startFixtureServer(routes);
    const home = await makeHome({ url: server.url, apiKey: 'another' });
    await chmod(join(home, 'cli.json'), 0o644);
    const { code, stdout } = await runKai(['doctor'], { home, env: { KOS_PORT: '0' } });
    expect(code).toBe(1);
    expect(stdout).toContain(`chmod 600 ${join(home, 'cli.json')}`);
    expect(stdout).toMatch(/FAULT +key +The key is not known/);
  });
});

test('run why names the wait and the command that helps', async () => {
  const reason = {
    stepPath: 'signOff',
    status: 'waiting',
    blockedBy: { kind: 'approval', ref: approvalId, text: 'waits for a decision' },
    since: new Date(Date.now() - 3_600_000).toISOString(),
    until: null,
    unblocks: 'Somebody with role:approver decides.',
    command: `kai approval approve ${approvalId}`,
  };
  const { stdout } = await kai(['run', 'why', runId], { 'GET /v1/runs/{id}/explain': () => ({ json: { runId, status: 'waiting', reasons: [reason] } }) });
  expect(stdout).toBe(
    `${runId} is waiting.\n\nsignOff waiting: waits for a decision (for 1 h)\n  Somebody with role:approver decides.\n  kai approval approve ${approvalId}\n`,
  );
});

describe('signals', () => {
  const aSignal = {
    id: 'sig_1',
    runId,
    name: 'paid',
    payload: { a: 1 },
    status: 'taken',
    stepPath: 'wait',
    sentBy: 'prn_x',
    receivedAt: new Date().toISOString(),
    takenAt: null,
  };

  test('are sent with their payload, and the step that took one is told', async () => {
    const { code, stderr } = await kai(['run', 'signal', runId, 'paid', '--payload', '{"a":1}'], {
      'POST /v1/runs/{id}/signals': () => ({ status: 202, json: aSignal }),
    });
    expect(code).toBe(0);
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).toEqual({ name: 'paid', payload: { a: 1 } });
    expect(stderr).toContain(`wait of ${runId} took the signal paid.`);
  });

  test('with a payload that is not JSON are not sent', async () => {
    const { code, stderr } = await kai(['run', 'signal', runId, 'paid', '--payload', '{a'], {});
    expect(code).toBe(2);
    expect(stderr).toContain('--payload is not JSON');
  });

  test('are listed with who took them', async () => {
    const { stdout } = await kai(['run', 'signals', runId], { 'GET /v1/runs/{id}/signals': () => ({ json: page(aSignal) }) });
    expect(stdout).toMatch(/sig_1 +paid .* wait +\{"a":1\}/);
  });
});
