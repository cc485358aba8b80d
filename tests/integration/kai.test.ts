import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '#config';
import type { Approval } from '#schemas/approval.ts';
import type { Run } from '#schemas/run.ts';
import { type KaiResult, runKai, spawnKai } from '#tests/kai/run-kai.ts';
import { launchTinyStack, partProcess, readyText, stopTinyStack, type TinyStack } from '#tests/rig/tiny-stack.ts';

/** The real program against the real thing: everything that `npm start` starts, in a home of its own. */
describe('kai and all of kOS', () => {
  let folder: string;
  let home: string;
  let stack: TinyStack;
  const kai = (...words: string[]): Promise<KaiResult> => runKai(words, { home, cwd: folder });
  const json = async <T>(...words: string[]): Promise<T> => {
    const { stdout, stderr, code } = await kai(...words, '--json');
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(stdout) as T;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kos-kai-stack-'));
    home = join(folder, 'home');
    stack = launchTinyStack(home, { file: join(projectRoot, 'workers', 'supervisor.ts'), words: ['--port', '0'] });
    await stack.says(readyText);
    // A place that tools may read, with logs that are always the same.
    await mkdir(join(home, 'workspace', 'logs'), { recursive: true });
    await writeFile(
      join(home, 'workspace', 'logs', 'app.log'),
      Array.from({ length: 200 }, (_, line) => `2026-01-01T00:00:00Z ERROR request ${line} failed: connection refused\n`).join(''),
    );
  });

  afterAll(async () => {
    await stopTinyStack(stack, home);
    await rm(folder, { recursive: true, force: true });
  });

  const logs = (): string => `path=${join(home, 'workspace', 'logs')}`;

  test('status is ready, doctor finds no fault, the examples are saved', async () => {
    expect(await json('status')).toMatchObject({ ready: true, parts: { database: 'ok', temporal: 'ok', workers: 'ok' } });
    const { findings } = await json<{ findings: { verdict: string }[] }>('doctor');
    expect(findings.filter((finding) => finding.verdict === 'fault')).toEqual([]);
    const plans = await json<{ items: { name: string }[] }>('plan', 'list');
    const examples = (await readdir(join(projectRoot, 'examples'))).filter((file) => file.endsWith('.plan.yaml')).map((file) => file.replace('.plan.yaml', ''));
    expect(plans.items.map((plan) => plan.name)).toEqual(examples.toSorted());
  });

  test('an export of all there is says that nothing would change', async () => {
    const { written } = await json<{ written: string[] }>('export', 'described');
    expect(written).toContain('described/plans/log-triage.plan.yaml');
    expect(await json('apply', '-f', 'described', '--dry-run')).toMatchObject({ changes: [], others: [] });
  });

  test('a run on real logs, waited for, leaves a report that can be fetched', async () => {
    const run = await json<Run>('run', 'start', 'log-triage', '--input', logs(), '--input', 'autoApprove=true', '--label', 'kind=report', '--wait');
    expect(run).toMatchObject({ status: 'succeeded', labels: { kind: 'report' }, origin: { kind: 'cli' } });
    const artifacts = await json<{ items: { id: string }[] }>('artifact', 'list', '--run', run.id);
    const report = await kai('artifact', 'get', artifacts.items[0]?.id ?? '');
    expect(report.stdout).toContain('connection refused');
    expect((await kai('run', 'list', '--label', 'kind=report')).stdout).toContain(run.id);
    expect((await kai('run', 'get', run.id)).stdout).toMatch(/✓ read .*\n/);
    expect((await kai('run', 'logs', run.id)).stdout).toMatch(/run succeeded\n$/);
  });

  test('a person is needed: exit code 8, then why, approve, watch, result', async () => {
    const started = await kai('run', 'start', 'approval', '--input', 'title=Maintenance', '--wait');
    expect(started.code).toBe(8);
    const approvalId = started.stdout.trim();
    const approval = await json<Approval>('approval', 'get', approvalId);
    expect(approval.arguments[0]?.input).toMatchObject({ name: 'announcement.md' });
    const why = await kai('run', 'why', approval.runId);
    expect(why.stdout).toContain(`kai approval approve ${approvalId}`);
    expect((await kai('approval', 'approve', approvalId, '--yes', '--digest', '0'.repeat(64))).code).toBe(6);
    expect((await kai('approval', 'approve', approvalId, '--yes', '--digest', approval.argumentsDigest)).code).toBe(0);
    expect((await kai('run', 'watch', approval.runId)).code).toBe(0);
    expect(await json('run', 'result', approval.runId)).toMatchObject({ published: 'announcement.md' });
    expect((await kai('approval', 'deny', approvalId, '--yes')).code).toBe(6);
  });

  test('a denied run fails: exit code 3', async () => {
    const started = await kai('run', 'start', 'approval', '--wait', '--json');
    const { id, openApprovals } = JSON.parse(started.stdout) as Run & { openApprovals: Approval[] };
    const waiting = spawnKai(['run', 'watch', id, '--wait-for-people'], { home });
    expect((await kai('approval', 'deny', openApprovals[0]?.id ?? '', '--yes', '--reason', 'not today')).code).toBe(0);
    expect((await waiting.finished).code).toBe(3);
    expect((await kai('run', 'result', id)).stderr).toContain('approval_denied');
  });

  test('a plan with faults is told by line and column, a good one is saved', async () => {
    await writeFile(join(folder, 'nap.yaml'), 'plan: nap\nsteps:\n  nap: { wait: { forMs: 6000 } }\n  done: { transform: "${steps.nap.stauts}" }\n');
    const bad = await kai('plan', 'validate', 'nap.yaml');
    expect(bad).toMatchObject({ code: 1, stdout: expect.stringMatching(/^nap\.yaml:4:\d+: /) });
    await writeFile(join(folder, 'nap.yaml'), 'plan: nap\nsteps:\n  nap: { wait: { forMs: 6000 } }\n  done: { transform: "${steps.nap.status}" }\n');
    expect(await kai('plan', 'save', 'nap.yaml')).toMatchObject({ code: 0, stdout: 'nap@1\n' });
    expect((await kai('plan', 'get', 'nap@1')).stdout).toContain('forMs: 6000');
  });

  test('starting twice under one key is one run', async () => {
    const start = () => kai('run', 'start', 'fan-out', '--input', 'count=3', '--idempotency-key', 'the-same');
    const [first, second] = [await start(), await start()];
    expect(first.code).toBe(0);
    expect(second.stdout).toBe(first.stdout);
    const other = await kai('run', 'start', 'fan-out', '--input', 'count=4', '--idempotency-key', 'the-same');
    expect(other.code).not.toBe(0);
  });

  test('waiting survives the death of the API', async () => {
    const waiting = spawnKai(['run', 'start', 'nap', '--wait'], { home });
    await waiting.says('run started');
    process.kill((await partProcess(home, 'api')).pid, 'SIGKILL');
    await waiting.says('trying to connect again');
    const { code, stderr } = await waiting.finished;
    expect(code).toBe(0);
    expect(stderr).toContain('Connected again.');
    expect(stderr.match(/run started/g)).toHaveLength(1);
  });

  test('Ctrl-C leaves the run going; cancel ends it', async () => {
    const waiting = spawnKai(['run', 'start', 'nap', '--wait'], { home });
    await waiting.says('run started');
    waiting.kill('SIGINT');
    const left = await waiting.finished;
    expect(left.code).toBe(130);
    const id = /run_[0-9a-f-]{36}/.exec(left.stderr)?.[0] ?? '';
    expect(await json<Run>('run', 'get', id)).toMatchObject({ finishedAt: null });
    expect((await kai('run', 'cancel', id, '--reason', 'enough')).code).toBe(0);
    expect((await kai('run', 'watch', id)).code).toBe(3);
    expect((await json<Run>('run', 'get', id)).status).toBe('cancelled');
    expect((await kai('run', 'delete', id, '--yes')).code).toBe(0);
    expect((await kai('run', 'get', id)).code).toBe(5);
  });

  test('a run that fails undoes what it did, a cancel unless it is told otherwise; get, why, watch and logs say so', async () => {
    const write = (name: string, content: string): string => `{ tool: fs.write, with: { path: "undo/\${run.id}/${name}", content: "${content}" }`;
    const source = `plan: trip
input: { type: object, properties: { days: { type: integer, default: 0 } } }
steps:
  hotel: ${write('hotel', 'booked')}, undo: ${write('hotel', 'free')} } }
  flight: ${write('flight', 'booked')}, needs: [hotel], undo: { tool: fs.read, with: { path: "undo/none" }, retry: { maxAttempts: 1 } } }
  rest: { wait: { forMs: 600000 }, needs: [flight], when: "\${input.days == 0}" }
  count: { transform: "\${1 / 0}", needs: [flight], when: "\${input.days > 0}" }
`;
    await writeFile(join(folder, 'trip.yaml'), source);
    expect((await kai('plan', 'save', 'trip.yaml')).code).toBe(0);
    const failed = await kai('run', 'start', 'trip', '--input', 'days=1', '--wait');
    expect(failed.code).toBe(3);
    expect(failed.stderr).toContain('What 1 step had done was undone. 1 undo did not succeed: flight~undo');
    const id = /run_[0-9a-f-]{36}/.exec(failed.stderr)?.[0] ?? '';
    expect(failed.stderr).toContain(`kai run retry ${id}`);
    const shown = (await kai('run', 'get', id)).stdout;
    expect(shown).toMatch(/↩ hotel .*\n/);
    expect(shown).toMatch(/✓ hotel~undo .*\n/);
    expect(shown).toMatch(/✗ flight~undo .*\n/);
    expect((await kai('run', 'logs', id)).stdout).toMatch(/run compensating\n[^]*hotel~undo succeeded\n[^]*hotel compensated\n[^]*run failed/);
    expect(await readFile(join(home, 'workspace', 'undo', id, 'hotel'), 'utf8')).toBe('free');
    const kept = await json<Run>('run', 'start', 'trip');
    await expect.poll(async () => (await json<Run>('run', 'get', kept.id)).status, { timeout: 60_000 }).toBe('waiting');
    expect((await kai('run', 'cancel', kept.id, '--no-undo', '--reason', 'enough')).code).toBe(0);
    expect((await kai('run', 'watch', kept.id)).stderr).toContain('enough. What 2 steps had done stays.');
    expect(await readFile(join(home, 'workspace', 'undo', kept.id, 'hotel'), 'utf8')).toBe('booked');
  });

  test('the crash demonstration kills the worker and finds every effect once', async () => {
    const shown = await json<{ tracesWhenKilled: number }>('demo', 'crash', '--items', '300');
    expect(shown).toMatchObject({ ok: true, exact: 300, missing: 0, doubled: 0, killedPid: expect.any(Number), foundDone: expect.any(Number) });
    expect(shown.tracesWhenKilled).toBeGreaterThanOrEqual(150);
  });

  test('settings and secrets are kept', async () => {
    expect((await kai('settings', 'add', 'roots', '/srv', '--write')).code).toBe(0);
    expect(await json('settings', 'add', 'egress', 'api.example.com:443')).toMatchObject({
      roots: [{ path: '/srv', write: true }],
      egress: ['api.example.com:443'],
    });
    expect((await runKai(['secret', 'set', 'token', '--host', 'api.example.com'], { home, input: 'hidden' })).code).toBe(0);
    const secrets = await kai('secret', 'list', '--json');
    expect(secrets.stdout).toContain('"token"');
    expect(secrets.stdout).not.toContain('hidden');
    expect((await kai('secret', 'remove', 'token')).code).toBe(0);
  });
});
