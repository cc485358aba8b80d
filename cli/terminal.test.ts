import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Run } from '#schemas/run.ts';
import { type FixtureServer, startFixtureServer } from '#tests/kai/fixture-server.ts';
import { makeHome } from '#tests/kai/run-kai.ts';
import { aDelta, anApproval, aPlan, approvalId, artifactId, aRun, eventMaker, page, runId } from '#tests/kai/shapes.ts';
import { hasTerminal, kaiOnTerminal, keys } from '#tests/kai/terminal.ts';

/** What people see: the same program on a real terminal. */
describe.runIf(hasTerminal)('on a terminal', () => {
  let server: FixtureServer;
  let home: string;
  let run: Run;
  let open: ReturnType<typeof anApproval>[];
  let event: ReturnType<typeof eventMaker>;

  beforeEach(async () => {
    run = aRun();
    open = [];
    event = eventMaker();
    server = await startFixtureServer({
      'GET /v1/plans/triage': () => ({ json: aPlan() }),
      'GET /v1/plans/triage/versions/1': () => ({ json: aPlan() }),
      'POST /v1/runs': () => ({ status: 202, json: { id: runId, status: 'queued', url: 'http://x/run' } }),
      'GET /v1/runs/{id}': () => ({ json: run }),
      'GET /v1/approvals': () => ({ json: page(...open) }),
      'GET /v1/approvals/{id}': () => ({ json: open[0] ?? anApproval({ status: 'approved' }) }),
      'GET /v1/artifacts': () => ({ json: page() }),
      'GET /v1/runs/{id}/events': () => ({ events: [event('run.started'), event('step.started', { stepPath: 'read' })], then: 'stay' }),
    });
    home = await makeHome(server);
  });

  afterEach(async () => {
    await server.close();
  });

  const succeed = (): void => {
    run = aRun({ status: 'succeeded', output: 'the result', finishedAt: '2026-01-01T12:00:07.000Z' });
    server.emit(event('run.succeeded'));
  };

  test('the steps are a tree that is redrawn in place', async () => {
    const kai = kaiOnTerminal(['run', 'start', 'triage', '--wait'], home);
    await kai.shows('● read');
    server.emit(event('step.succeeded', { stepPath: 'read' }));
    for (let item = 0; item < 400; item += 1) server.emit(event('step.succeeded', { stepPath: `explain[${item}]` }));
    await kai.shows('✓ read');
    await kai.shows('400 done');
    succeed();
    const { code, screen, raw } = await kai.finished;
    expect(code).toBe(0);
    expect(screen).toContain('the result');
    // Drawn in place: the cursor goes up, lines do not pile up, and the cursor is there again at the end.
    expect(raw).toMatch(/\u001b\[\d*A/);
    expect(screen.split('\n').length).toBeLessThan(200);
    expect(raw.lastIndexOf('\u001b[?25h')).toBeGreaterThan(raw.lastIndexOf('\u001b[?25l'));
  });

  test('what a model says is shown as it comes, and goes with its step', async () => {
    const kai = kaiOnTerminal(['run', 'start', 'triage', '--wait'], home);
    await kai.shows('● read');
    server.emit(aDelta('explain[0]', 0, 'The disk is'));
    await kai.shows('explain[0] says:');
    await kai.shows('│ The disk is');
    server.emit(aDelta('explain[0]', 11, ' nearly full.\u001b[2J'));
    await kai.shows('│ The disk is nearly full.\\u{1b}[2J');
    server.emit(event('step.succeeded', { stepPath: 'explain[0]' }));
    await kai.shows('1 done');
    succeed();
    const { code, screen } = await kai.finished;
    expect(code).toBe(0);
    // The last picture, a log's: the tree alone.
    expect(screen.slice(screen.lastIndexOf('triage@1'))).not.toContain('says:');
  });

  test('Ctrl-C leaves, says that the run goes on, and gives the cursor back', async () => {
    const kai = kaiOnTerminal(['run', 'start', 'triage', '--wait'], home);
    await kai.shows('● read');
    kai.type(keys.interrupt);
    const { code, screen, raw } = await kai.finished;
    expect(code).toBe(130);
    expect(screen).toContain(`Left ${runId}; it goes on.`);
    expect(raw.lastIndexOf('\u001b[?25h')).toBeGreaterThan(raw.lastIndexOf('\u001b[?25l'));
  });

  describe('at an approval', () => {
    const decisions: unknown[] = [];
    beforeEach(() => {
      decisions.length = 0;
      open = [anApproval()];
      server.on('GET /v1/runs/{id}/events', () => ({ events: [event('approval.requested', { stepPath: 'signOff', approvalId })], then: 'stay' }));
      server.on('POST /v1/approvals/{id}/decisions', (request) => {
        decisions.push(JSON.parse(request.body));
        open = [];
        setTimeout(succeed, 100);
        return { json: anApproval({ status: 'approved' }) };
      });
    });

    test.each([
      ['a', 'approve'],
      ['d', 'deny'],
    ])('%s and Enter decide: %s', async (key, decision) => {
      const kai = kaiOnTerminal(['run', 'start', 'triage', '--wait'], home);
      await kai.shows('All is well.');
      await kai.shows('Your decision?');
      kai.type(key);
      await kai.shows(`❯ ${decision}`);
      kai.type(keys.enter);
      const { code, screen } = await kai.finished;
      expect(code).toBe(0);
      expect(screen).toContain('the result');
      expect(decisions).toEqual([{ decision, argumentsDigest: 'a'.repeat(64) }]);
    });

    test.each([
      ['Enter, which is "later"', keys.enter],
      ['Ctrl-C', keys.interrupt],
    ])('%s decides nothing and says how to decide', async (_name, key) => {
      const kai = kaiOnTerminal(['run', 'start', 'triage', '--wait'], home);
      await kai.shows('Your decision?');
      kai.type(key);
      const { code, screen } = await kai.finished;
      expect(code).toBe(8);
      expect(screen).toContain(`kai approval approve ${approvalId}`);
      expect(decisions).toEqual([]);
    });

    test('a decision made elsewhere takes the question back', async () => {
      const kai = kaiOnTerminal(['run', 'start', 'triage', '--wait'], home);
      await kai.shows('Your decision?');
      open = [];
      await kai.shows('Somebody else has decided');
      succeed();
      expect((await kai.finished).code).toBe(0);
      expect(decisions).toEqual([]);
    });

    test('approval approve asks once more', async () => {
      const kai = kaiOnTerminal(['approval', 'approve', approvalId], home);
      await kai.shows('Approve exactly this?');
      kai.type(`y${keys.enter}`);
      expect((await kai.finished).code).toBe(0);
      expect(decisions).toHaveLength(1);
    });
  });

  test('a secret is not echoed', async () => {
    server.on('PUT /v1/secrets/{name}', () => ({ json: {} }));
    const kai = kaiOnTerminal(['secret', 'set', 'github', '--host', 'api.github.com'], home);
    await kai.shows('hidden');
    kai.type(`s3cret${keys.enter}`);
    const { code, screen } = await kai.finished;
    expect(code).toBe(0);
    expect(screen).not.toContain('s3cret');
    expect(JSON.parse(server.received.at(-1)?.body ?? '')).toMatchObject({ value: 's3cret' });
  });

  test('binary content is not written to a terminal', async () => {
    server.on('GET /v1/artifacts/{id}/content', () => ({ bytes: Buffer.from([0x1b, 0x5b, 0x32, 0x4a, 0]), headers: { 'content-type': 'image/png' } }));
    const { code, screen, raw } = await kaiOnTerminal(['artifact', 'get', artifactId], home).finished;
    expect(code).toBe(1);
    expect(screen).toContain(`kai artifact get ${artifactId} -o FILE`);
    expect(raw).not.toContain('\u001b[2J');
  });
});
