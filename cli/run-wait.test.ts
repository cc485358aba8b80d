import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Run } from '#schemas/run.ts';
import { type FixtureServer, problem, startFixtureServer } from '#tests/kai/fixture-server.ts';
import { launcher, makeHome, runKai, spawnKai } from '#tests/kai/run-kai.ts';
import { aDelta, anApproval, anArtifact, aPlan, approvalId, artifactId, aRun, eventMaker, page, runId } from '#tests/kai/shapes.ts';

let server: FixtureServer;
let home: string;
let run: Run;
let open: ReturnType<typeof anApproval>[];

/** A server with one run, whose state a test changes as it likes. */
beforeEach(async () => {
  run = aRun();
  open = [];
  server = await startFixtureServer({
    'GET /v1/plans/triage': () => ({ json: aPlan() }),
    'GET /v1/plans/triage/versions/1': () => ({ json: aPlan() }),
    'POST /v1/runs': () => ({ status: 202, json: { id: runId, status: 'queued', url: `http://x/v1/runs/${runId}` } }),
    'GET /v1/runs/{id}': () => ({ json: run }),
    'GET /v1/runs/{id}/steps': () => ({ json: page() }),
    'GET /v1/approvals': () => ({ json: page(...open) }),
    'GET /v1/artifacts': () => ({ json: page() }),
  });
  home = await makeHome(server);
});

afterEach(async () => {
  await server.close();
});

const succeeded = (output: Run['output']): Run => aRun({ status: 'succeeded', output, finishedAt: '2026-01-01T12:00:07.000Z' });

describe('run start', () => {
  test('prints id and URL and returns; inputs are typed by the plan', async () => {
    const { code, stdout } = await runKai(['run', 'start', 'triage', '--input', 'path=42', '--input', 'count=3', '-i', 'deep=true', '--label', 'team=a'], {
      home,
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${runId}\nhttp://x/v1/runs/${runId}\n` });
    const start = server.received.at(-1);
    expect(JSON.parse(start?.body ?? '')).toEqual({ plan: 'triage@1', input: { path: '42', count: 3, deep: true }, labels: { team: 'a' } });
    expect(start?.headers['idempotency-key']).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('inputs come from a file, and pairs go over them', async () => {
    await writeFile(join(home, 'input.yaml'), 'path: /var/log\ncount: 1\n');
    await runKai(['run', 'start', 'triage@1', '--input-file', 'input.yaml', '--input', 'count=2'], { home });
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).toMatchObject({ input: { path: '/var/log', count: 2 } });
    await runKai(['run', 'start', 'triage', '--input-file', '-'], { home, input: '{"deep": false}' });
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).toMatchObject({ input: { deep: false } });
  });

  test.each([
    [['--input', 'count=many'], '"count" must be an integer', 1],
    [['--input', 'cuont=1'], 'did you mean "count"', 1],
    [['--input', 'count'], 'write it as key=value', 2],
    [['--input', 'count=1', '--input', 'count=2'], 'gives count twice', 2],
    [['--input-file', 'list.json'], 'must hold an object', 2],
  ])('%j starts nothing', async (words, message, expected) => {
    await writeFile(join(home, 'list.json'), '[1]');
    const { code, stderr } = await runKai(['run', 'start', 'triage', ...words], { home });
    expect({ code, stderr }).toEqual({ code: expected, stderr: expect.stringContaining(message) });
    expect(server.received.filter((request) => request.method === 'POST')).toEqual([]);
  });

  test('an input that the server refuses is told pointer by pointer', async () => {
    server.on('POST /v1/runs', () => ({
      status: 422,
      json: problem({ status: 422, code: 'input_invalid', detail: 'The input does not fit.', errors: [{ pointer: '/path', message: 'is missing' }] }),
    }));
    const { code, stderr } = await runKai(['run', 'start', 'triage'], { home });
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'error: The input does not fit.\n  /path: is missing\n' });
  });
});

describe('run start --wait', () => {
  test('tells the steps as lines on standard error; the output alone is data', async () => {
    const event = eventMaker();
    run = succeeded({ report: 'fine' });
    const running = aRun();
    let asked = 0;
    server.on('GET /v1/runs/{id}', () => ({ json: (asked += 1) === 1 ? running : run }));
    server.on('GET /v1/artifacts', () => ({ json: page(anArtifact()) }));
    server.on('GET /v1/runs/{id}/events', () => ({
      events: [
        event('run.accepted'),
        event('step.started', { stepPath: 'read', kind: 'tool', attempt: 1 }),
        aDelta('read', 0, 'a model speaks'),
        event('step.retrying', { stepPath: 'read', kind: 'tool', attempt: 1, error: { code: 'busy', message: 'try later' } }),
        event('step.succeeded', { stepPath: 'read', kind: 'tool', attempt: 2 }),
        event('step.succeeded', { stepPath: 'say', kind: 'llm', attempt: 1, labels: ['builtin: rules, not a language model'] }),
        event('run.succeeded'),
      ],
      then: 'stay',
    }));
    const { code, stdout, stderr } = await runKai(['run', 'start', 'triage', '--wait'], { home });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ report: 'fine' });
    expect(stderr).toContain('step read started');
    expect(stderr).toContain('step read retrying: try later (busy)');
    expect(stderr).toContain('step read succeeded (attempt 2)');
    expect(stderr).toContain('step say succeeded: builtin: rules, not a language model');
    expect(stderr).toContain(`${runId} succeeded in 7.0 s`);
    expect(stderr).toContain(`kai artifact get ${artifactId}`);
    expect(stderr).not.toContain('\u001b');
    expect(stdout + stderr).not.toContain('a model speaks');
  });

  test('--json gives the run', async () => {
    run = succeeded('text');
    const { code, stdout } = await runKai(['run', 'start', 'triage', '--wait', '--json'], { home });
    expect({ code, run: JSON.parse(stdout) }).toEqual({ code: 0, run });
  });

  test('text is printed as it is', async () => {
    run = succeeded('two\nlines');
    expect((await runKai(['run', 'start', 'triage', '--wait'], { home })).stdout).toBe('two\nlines\n');
  });

  test.each(['failed', 'cancelled', 'terminated'] as const)('a run that has %s is exit code 3, with its error and fix', async (status) => {
    run = aRun({
      status,
      finishedAt: '2026-01-01T12:00:07.000Z',
      error: { code: 'tool_refused', message: 'The folder is not allowed.', fix: 'kai settings add roots /srv', stepPath: 'read' },
    });
    const { code, stdout, stderr } = await runKai(['run', 'start', 'triage', '--wait'], { home });
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toContain('error: step read: The folder is not allowed. (tool_refused)\nfix: kai settings add roots /srv\n');
  });

  test('ten thousand items are a few lines', async () => {
    const event = eventMaker();
    const items = Array.from({ length: 10_000 }, (_, item) =>
      event('step.succeeded', { stepPath: `explain[${item}]`, kind: 'llm', attempt: 1, labels: ['builtin: rules'] }),
    );
    const first = aRun();
    let asked = 0;
    server.on('GET /v1/runs/{id}', () => ({ json: (asked += 1) === 1 ? first : succeeded(null) }));
    server.on('GET /v1/runs/{id}/events', () => ({
      events: [
        ...items,
        event('step.failed', { stepPath: 'explain[3]', kind: 'llm', attempt: 2, error: { code: 'nonsense', message: 'no sense' } }),
        event('step.succeeded', { stepPath: 'explain', kind: 'llm', attempt: 1 }),
        event('run.succeeded'),
      ],
      then: 'stay',
    }));
    const { code, stderr } = await runKai(['run', 'start', 'triage', '--wait'], { home });
    expect(code).toBe(0);
    expect(stderr.split('\n').length).toBeLessThan(40);
    expect(stderr).toContain('explain: 10,000 done, 1 failed, builtin: rules\n');
    expect(stderr).toContain('step explain[3] failed');
  });

  test('goes on after the server was away, from where it was', async () => {
    const event = eventMaker();
    const [accepted, started, ended] = [event('run.accepted'), event('step.started', { stepPath: 'read' }), event('run.succeeded')];
    server.on('GET /v1/runs/{id}/events', (request) =>
      request.headers['last-event-id'] === undefined ? { events: [accepted, started], then: 'stay' } : { events: [ended], then: 'stay' },
    );
    const kai = spawnKai(['run', 'start', 'triage', '--wait'], { home });
    await kai.says('step read started');
    await server.stop();
    await kai.says('trying to connect again');
    run = succeeded('back');
    await server.start();
    const { code, stdout, stderr } = await kai.finished;
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'back\n' });
    expect(stderr).toContain('Connected again.');
    expect(stderr.match(/step read started/g)).toHaveLength(1);
    expect(server.received.findLast((request) => request.path.endsWith('/events'))?.headers['last-event-id']).toBe(started?.position);
  });

  test('sees the end although its event never came', async () => {
    const event = eventMaker();
    server.on('GET /v1/runs/{id}/events', () => ({ events: [event('run.accepted')], then: 'stay' }));
    const kai = spawnKai(['run', 'start', 'triage', '--wait'], { home });
    await kai.says('run accepted');
    run = succeeded('quiet');
    expect(await kai.finished).toMatchObject({ code: 0, stdout: 'quiet\n' });
  });

  test('an old end of a run that was opened again does not end the wait', async () => {
    const event = eventMaker();
    server.on('GET /v1/runs/{id}/events', () => ({ events: [event('run.failed'), event('run.resumed')], then: 'stay' }));
    const kai = spawnKai(['run', 'start', 'triage', '--wait'], { home });
    await kai.says('run resumed');
    run = succeeded('second try');
    server.emit(event('run.succeeded'));
    expect(await kai.finished).toMatchObject({ code: 0, stdout: 'second try\n' });
  });

  test('says once what holds a run back before it starts, and again when that changes', async () => {
    const event = eventMaker();
    const waiting = (text: string): Run => aRun({ status: 'queued', waitingFor: { kind: 'engine', ref: 'disk', until: null, text } });
    run = waiting('Less than 1 GB is free.');
    server.on('GET /v1/runs/{id}/events', () => ({ events: [event('run.accepted')], then: 'stay' }));
    const kai = spawnKai(['run', 'start', 'triage', '--wait'], { home });
    await kai.says(`The run has not started. Less than 1 GB is free. (kai run why ${runId})`);
    const asked = (): number => server.received.filter(({ method, path }) => method === 'GET' && path === `/v1/runs/${runId}`).length;
    const before = asked();
    await expect.poll(asked, { timeout: 30_000 }).toBeGreaterThan(before);
    run = waiting('As many runs are at work as may be.');
    await kai.says('The run has not started. As many runs are at work as may be.');
    run = succeeded('at last');
    const { code, stderr } = await kai.finished;
    expect({ code, told: stderr.match(/has not started/g)?.length }).toEqual({ code: 0, told: 2 });
  });

  test('times out with 7 and says how to come back', async () => {
    server.on('GET /v1/runs/{id}/events', () => ({ events: [], then: 'stay' }));
    const { code, stdout, stderr } = await runKai(['run', 'start', 'triage', '--wait', '--timeout', '0.5'], { home });
    expect({ code, stdout }).toEqual({ code: 7, stdout: '' });
    expect(stderr).toContain(`kai run watch ${runId}`);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('%s leaves the run going', async (signal) => {
    server.on('GET /v1/runs/{id}/events', () => ({ events: [eventMaker()('run.accepted')], then: 'stay' }));
    const kai = spawnKai(['run', 'start', 'triage', '--wait'], { home });
    await kai.says('run accepted');
    kai.kill(signal);
    const { code, stderr } = await kai.finished;
    expect(code).toBe(130);
    expect(stderr).toContain(`Left ${runId}; it goes on.\n  come back: kai run watch ${runId}\n  stop it:   kai run cancel ${runId}\n`);
    expect(server.received.some((request) => request.path.endsWith('/cancel'))).toBe(false);
  });
});

describe('at an approval', () => {
  const event = eventMaker();
  beforeEach(() => {
    open = [anApproval()];
    server.on('GET /v1/runs/{id}/events', () => ({ events: [event('approval.requested', { stepPath: 'signOff', approvalId })], then: 'stay' }));
  });

  test('without a terminal it is exit code 8 with the id as data, and what is asked', async () => {
    const { code, stdout, stderr } = await runKai(['run', 'start', 'triage', '--wait'], { home });
    expect({ code, stdout }).toEqual({ code: 8, stdout: `${approvalId}\n` });
    expect(stderr).toContain('report (artifact)');
    expect(stderr).toContain('Is the report right?');
    expect(stderr).toContain('a'.repeat(64));
    expect(stderr).toContain(`kai approval approve ${approvalId}`);
  });

  test('under --json it is the run with its open approvals', async () => {
    run = aRun({ status: 'waiting', waitingFor: { kind: 'approval', ref: approvalId, until: null, text: 'signOff waits for a decision' } });
    const { code, stdout } = await runKai(['run', 'watch', runId], { home });
    expect({ code, stdout }).toEqual({ code: 8, stdout: expect.stringContaining('approval') });
    const json = await runKai(['run', 'start', 'triage', '--wait', '--json'], { home });
    expect(json.code).toBe(8);
    expect(JSON.parse(json.stdout)).toEqual({ ...run, openApprovals: open });
  });

  test('--wait-for-people waits until somebody has decided', async () => {
    const kai = spawnKai(['run', 'start', 'triage', '--wait-for-people'], { home });
    await kai.says('requested');
    open = [];
    server.emit(event('approval.decided', { stepPath: 'signOff', approvalId, decision: 'approve', by: 'prn_2' }));
    run = succeeded('signed');
    server.emit(event('run.succeeded'));
    const { code, stdout, stderr } = await kai.finished;
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'signed\n' });
    expect(stderr).toContain('approved by prn_2');
  });

  test('one that has been decided since asks nobody', async () => {
    open = [];
    const kai = spawnKai(['run', 'start', 'triage', '--wait'], { home });
    await kai.says('requested');
    run = succeeded('done');
    server.emit(event('run.succeeded'));
    expect(await kai.finished).toMatchObject({ code: 0, stdout: 'done\n' });
  });
});

describe('run watch, result, logs', () => {
  test('watch --json prints the events, one JSON value a line', async () => {
    const event = eventMaker();
    const events = [event('run.accepted'), event('step.started', { stepPath: 'read' }), event('run.succeeded')];
    const running = aRun();
    let asked = 0;
    server.on('GET /v1/runs/{id}', () => ({ json: (asked += 1) === 1 ? running : succeeded(null) }));
    server.on('GET /v1/runs/{id}/events', () => ({ events: [aDelta('read', 0, 'a model speaks'), ...events], then: 'stay' }));
    const { code, stdout } = await runKai(['run', 'watch', runId, '--json'], { home });
    expect(code).toBe(0);
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(events);
  });

  test('a reader that has seen enough is no error', async () => {
    const event = eventMaker();
    server.on('GET /v1/runs/{id}/events', () => ({ events: Array.from({ length: 2_000 }, () => event('step.started', { stepPath: 'read' })), then: 'stay' }));
    const { code, stdout, stderr } = await runKai(
      ['-c', `"${process.execPath}" "$0" run watch ${runId} --timeout 5 | head -n 1; echo "code \${PIPESTATUS[0]}"`, launcher],
      {
        home,
        command: ['bash'],
      },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.trimEnd().split('\n')).toEqual([expect.stringContaining('step read started'), 'code 0']);
  });

  test('result of a run that goes on is a conflict; of a failed one exit code 3; else the output', async () => {
    expect(await runKai(['run', 'result', runId], { home })).toMatchObject({ code: 6, stdout: '', stderr: expect.stringContaining(`kai run watch ${runId}`) });
    run = aRun({ status: 'failed', finishedAt: run.createdAt, error: { code: 'x', message: 'It broke.', fix: null, stepPath: null } });
    expect(await runKai(['run', 'result', runId], { home })).toMatchObject({ code: 3, stdout: '', stderr: expect.stringContaining('It broke.') });
    run = succeeded([1, 2]);
    const { code, stdout } = await runKai(['run', 'result', runId], { home });
    expect({ code, output: JSON.parse(stdout) }).toEqual({ code: 0, output: [1, 2] });
  });

  test('logs reads page by page to the end', async () => {
    const line = (n: number) => ({ at: '2026-01-01T12:00:00.000Z', level: n === 2 ? 'error' : 'info', text: `line ${n}`, stepPath: null, position: `e-${n}` });
    server.on('GET /v1/runs/{id}/logs', (request) => ({
      json: request.query.get('after') === null ? { items: [line(1)], nextCursor: 'e-1', reset: false } : { items: [line(2)], nextCursor: null, reset: false },
    }));
    const { stdout } = await runKai(['run', 'logs', runId], { home });
    expect(stdout).toMatch(/^\d\d:\d\d:\d\d line 1\n\d\d:\d\d:\d\d line 2\n$/);
  });

  test('get shows the run and its steps, those to come included', async () => {
    run = aRun({
      status: 'waiting',
      waitingFor: { kind: 'approval', ref: approvalId, until: null, text: 'signOff waits for a decision' },
      input: { path: '/var/log' },
    });
    const step = (path: string, status: string, metadata = {}) => ({
      path,
      kind: 'tool',
      status,
      attempt: 1,
      startedAt: run.createdAt,
      finishedAt: run.createdAt,
      waitingFor: null,
      error: null,
      costMicros: 0,
      metadata,
    });
    const said = { labels: ['builtin: rules, not a language model'] };
    server.on('GET /v1/runs/{id}/steps', () => ({
      json: page(
        step('read', 'succeeded'),
        step('explain', 'running', { items: 3 }),
        step('explain[0]', 'succeeded', said),
        step('explain[1]', 'failed', said),
      ),
    }));
    const { code, stdout } = await runKai(['run', 'get', runId], { home });
    expect(code).toBe(0);
    expect(stdout).toContain('waits for');
    expect(stdout).toContain('{"path":"/var/log"}');
    expect(stdout).toMatch(/✓ read .*\n.*● explain .*2 of 3 done, 1 failed.*, builtin: rules, not a language model\n.*· signOff .*\n.*· report /);
  });
});
