import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endStep, StaleWriter } from '#services/runs/ledger/record-outcome.ts';
import { takeStep, type TakenStep } from '#services/runs/ledger/take-step.ts';
import { createScriptedModelServer, type ScriptedModelServer, type ScriptedReply } from '#tests/scripted-model-server/server.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

const run = promisify(execFile);

/** Every reply names the prompt that it is for, so that the tests of this file do not take each other's. */
const replies: ScriptedReply[] = [
  { kind: 'error', status: 429, headers: { 'retry-after': '1' }, when: 'busy' },
  { kind: 'text', text: 'patience', when: 'busy' },
  { kind: 'error', status: 500, when: 'broken' },
  { kind: 'text', text: 'mended', when: 'broken' },
  { kind: 'hang', when: 'silent' },
  { kind: 'text', text: 'at last', when: 'silent' },
  { kind: 'truncated', text: 'this answer stops in the mid', when: 'torn' },
  { kind: 'text', text: 'whole', when: 'torn' },
  { kind: 'text', text: '{"wrong": true}', when: 'nonsense', times: 2 },
];

let models: ScriptedModelServer;
let engine: TestEngine;
let disk: string | null = null;
const web = createServer();
const visits: { at: number; key: string | undefined }[] = [];

beforeAll(async () => {
  models = await createScriptedModelServer(replies);
  web.on('request', (request, response) => {
    visits.push({ at: Date.now(), key: request.headers['idempotency-key']?.toString() });
    if (visits.length === 1) response.writeHead(503, { 'retry-after': '1' }).end();
    else response.writeHead(200, { 'content-type': 'application/json' }).end('{"visit": 2}');
  });
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  disk = await mountSmallDisk();
  const port = (web.address() as AddressInfo).port;
  engine = await makeTestEngine({ openaiUrl: models.url, egress: [`127.0.0.1:${port}`], ...(disk === null ? {} : { artifacts: join(disk, 'artifacts') }) });
});
afterAll(async () => {
  await engine.close();
  web.close();
  if (disk !== null) await run('umount', [disk]);
  await models.close();
});

/** 3 MB that can be filled up. Only who may mount has one. */
async function mountSmallDisk(): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), 'kos-disk-'));
  return await run('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', folder]).then(
    () => folder,
    () => null,
  );
}

const statuses = async (runId: string): Promise<string[]> => (await engine.steps(runId)).map(({ path, status, attempt }) => `${path} ${status} ${attempt}`);
const retriesOf = async (runId: string): Promise<number> => {
  const rows = await engine.rig.system.sql`select id from kos.events where run_id = ${runId} and type = 'step.retrying'`;
  return rows.length;
};
const fastRetry = 'retry: { maxAttempts: 3, initialDelayMs: 100 }';

describe('another attempt', () => {
  it('comes after the back-off, and counts', async () => {
    const result = await engine.run(
      `plan: twice\nsteps:\n  flaky: { tool: test.fail, with: { times: 2 }, ${fastRetry} }\noutput: "\${steps.flaky.output.attempt}"\n`,
    );
    expect(result).toMatchObject({ status: 'succeeded', output: 3 });
    expect(await statuses(result.id)).toEqual(['flaky succeeded 3']);
    const events = await engine.rig.system.sql<
      { type: string; data: { attempt: number } }[]
    >`select type, data from kos.events where run_id = ${result.id} order by at, id`;
    expect(events.filter(({ type }) => type === 'step.retrying').map(({ data }) => data.attempt)).toEqual([1, 2]);
    expect(events.filter(({ type }) => type === 'step.started').map(({ data }) => data.attempt)).toEqual([1, 2, 3]);
  });

  it('does not come when there are no more', async () => {
    const result = await engine.run(`plan: thrice\nsteps:\n  flaky: { tool: test.fail, with: { times: 9 }, ${fastRetry} }\n`);
    expect(result).toMatchObject({ status: 'failed', error: { code: 'told_to_fail', stepPath: 'flaky' } });
    expect(await statuses(result.id)).toEqual(['flaky failed 3']);
  });

  it('waits as long as a server asks', async () => {
    const { port } = web.address() as AddressInfo;
    const result = await engine.run(
      `plan: asked-to-wait\nsteps:\n  get: { tool: http.fetch, with: { url: "http://127.0.0.1:${port}/" }, ${fastRetry} }\noutput: "\${steps.get.output.json.visit}"\n`,
    );
    expect(result).toMatchObject({ error: null, output: 2 });
    expect((visits[1]?.at ?? 0) - (visits[0]?.at ?? 0)).toBeGreaterThanOrEqual(990);
  });

  it('of one item leaves the others alone', async () => {
    const result = await engine.run(
      `plan: item-retry\nsteps:\n  each: { tool: test.fail, with: { times: "\${item}" }, forEach: [0, 2, 0], ${fastRetry} }\noutput: "\${steps.each.output.map(one, one.attempt)}"\n`,
    );
    expect(result.output).toEqual([1, 3, 1]);
  });

  it('says why in words that Postgres takes', async () => {
    const source = `
plan: odd-words
input: { type: object, properties: { words: { type: string } } }
steps:
  odd: { tool: test.fail, with: { times: 1, message: "\${input.words}" }, retry: { initialDelayMs: 1 } }
`;
    expect(await engine.run(source, { words: 'a NUL \u0000 in it' })).toMatchObject({ status: 'succeeded' });
    // Half of a surrogate pair has no canonical form, so no digest: said once, not tried for ever.
    expect(await engine.run(source, { words: 'half a pair \ud83d' })).toMatchObject({ status: 'failed', error: { code: 'not_canonical', stepPath: 'odd' } });
  });
});

describe('a model that', () => {
  const ask = (name: string, more = ''): string => `
plan: ask-${name}
steps:
  ask: { llm: { model: fast, prompt: "${name}" ${more} }, timeoutMs: ${name === 'silent' ? 1_000 : 30_000}, retry: { maxAttempts: 2, initialDelayMs: 50 } }
output: "\${steps.ask.output}"
`;

  it.each([
    { name: 'broken', does: 'fails (500)', answer: 'mended' },
    { name: 'busy', does: 'asks for patience (429 with Retry-After)', answer: 'patience' },
    { name: 'silent', does: 'hangs', answer: 'at last' },
    { name: 'torn', does: 'breaks off', answer: 'whole' },
  ])('$does is asked again', async ({ name, answer }) => {
    const result = await engine.run(ask(name));
    expect(result).toMatchObject({ error: null, output: answer });
    expect(await statuses(result.id)).toEqual(['ask succeeded 2']);
  });

  it('hung may have billed: the second call says so', async () => {
    const [call] = await engine.rig.system.sql<{ twice: boolean }[]>`
      select possibly_billed_twice as twice from kos.model_calls c join kos.runs r on r.id = c.run_id where r.plan_name = 'ask-silent'`;
    expect(call?.twice).toBe(true);
  });

  it('answers nonsense against a schema fails its step', async () => {
    const result = await engine.run(ask('nonsense', ', schema: { type: object, required: [right], properties: { right: { type: string } } }'));
    expect(result.status).toBe('failed');
    expect(result.error).toMatchObject({ stepPath: 'ask', code: expect.stringMatching(/^model_/) });
  });
});

describe('a tool that', () => {
  const linesOf = async (file: string): Promise<string[]> => (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');

  it('hangs ends with its time-out and is tried again', async () => {
    const file = join(engine.home, 'hangs.txt');
    const result = await engine.run(
      `plan: hangs\nsteps:\n  hang: { tool: test.hang, with: { file: "${file}" }, timeoutMs: 300, retry: { maxAttempts: 2, initialDelayMs: 10 } }\n`,
    );
    expect(result).toMatchObject({ status: 'failed', error: { code: 'step_timeout', stepPath: 'hang' } });
    expect(await linesOf(file)).toEqual(['1', '2']);
  });

  it('outlives its time-out and then answers changes nothing', async () => {
    const file = join(engine.home, 'late.txt');
    const runId = await engine.start(
      await engine.save(`
plan: late
steps:
  late: { tool: test.late, with: { file: "${file}", waitMs: 1500 }, timeoutMs: 300, retry: { initialDelayMs: 10 } }
  pause: { wait: { forMs: 1200 }, needs: [late] }
output: "\${steps.late.output.attempt}"
`),
    );
    await engine.untilStep(runId, 'late', 'succeeded');
    const [before] = await engine.steps(runId);
    await expect.poll(() => linesOf(file), { timeout: 5_000 }).toEqual(['2', '1']);
    expect((await engine.ended(runId)).output).toBe(2);
    expect((await engine.steps(runId))[0]).toEqual(before);
  });

  it('is effectful and hangs leaves an uncertain step, and is not called again', async () => {
    const file = join(engine.home, 'uncertain.txt');
    const runId = await engine.start(
      await engine.save(`plan: unsure\nsteps:\n  send: { tool: test.append, with: { file: "${file}", waitMs: 60000 }, timeoutMs: 300 }\n`),
    );
    await engine.untilStep(runId, 'send', 'uncertain');
    expect(await statuses(runId)).toEqual(['send uncertain 1']);
    expect(await linesOf(file)).toEqual([`${runId}/send`]);
    // It holds its run until a person says what happened, or ends it.
    await engine.cancel(runId);
    expect(await engine.ended(runId)).toMatchObject({ status: 'cancelled' });
    expect(await linesOf(file)).toEqual([`${runId}/send`]);
  });

  it('can say whether its effect happened is asked instead of repeated', async () => {
    const file = join(engine.home, 'asked.txt');
    const result = await engine.run(
      `plan: asked\nsteps:\n  send: { tool: test.ask, with: { file: "${file}", waitMs: 60000 }, timeoutMs: 300, retry: { initialDelayMs: 10 } }\n`,
    );
    expect(result.error).toBeNull();
    expect((await engine.steps(result.id))[0]).toMatchObject({ status: 'succeeded', attempt: 2, metadata: { reconciled: true } });
    expect(await linesOf(file)).toEqual([`${result.id}/send`]);
  });

  it('puts out more than 8 MB fails, and its effect is on record as happened', async () => {
    const result = await engine.run('plan: big\nsteps:\n  big: { tool: test.big, with: { bytes: 8000001 } }\n');
    expect(result).toMatchObject({ status: 'failed', error: { code: 'output_too_large', stepPath: 'big' } });
    const effects = await engine.rig.system.sql`select status from kos.effects where run_id = ${result.id}`;
    expect(effects).toEqual([{ status: 'happened' }]);
  });

  it('puts out 7 MB is read whole by the next step', async () => {
    const result = await engine.run(
      'plan: large\nsteps:\n  big: { tool: test.big, with: { bytes: 7000000 } }\n  size: { transform: "${size(steps.big.output)}" }\noutput: "${steps.size.output}"\n',
    );
    expect(result).toMatchObject({ error: null, output: 7_000_000 });
  });
});

describe('a run', () => {
  it('whose time is over ends what runs and says so', async () => {
    const result = await engine.run(
      'plan: brief\ntimeoutMs: 700\nsteps:\n  rest: { tool: test.rest, with: { waitMs: 60000 } }\n  after: { transform: 1, needs: [rest] }\n',
    );
    expect(result).toMatchObject({ status: 'failed', error: { code: 'run_timeout' } });
    expect(await statuses(result.id)).toEqual(['rest cancelled 1']);
  });

  it('with an expression that runs long goes on: the heartbeats do not stop', async () => {
    const result = await engine.run(`
plan: long-expression
input: { type: object, properties: { count: { type: integer, default: 3000 } } }
steps:
  long: { transform: "\${range(input.count).map(a, range(input.count).map(b, a * b)).size()}", retry: { maxAttempts: 1 } }
  beside: { tool: test.rest, with: { waitMs: 1500 } }
output: "\${steps.beside.status}"
`);
    expect(result).toMatchObject({ status: 'failed', error: { stepPath: 'long' } });
    const beside = (await engine.steps(result.id)).find(({ path }) => path === 'beside');
    expect(beside).toMatchObject({ status: 'succeeded', fence: 2 });
  });

  it('whose artifact has a name that Postgres refuses fails instead of trying for ever', async () => {
    const source = `
plan: odd-name
input: { type: object, properties: { name: { type: string } } }
steps:
  odd: { artifact: { name: "\${input.name}", content: x } }
`;
    expect(await engine.run(source, { name: 'a\u0000b.txt' })).toMatchObject({ status: 'failed', error: { code: 'outcome_not_storable', stepPath: 'odd' } });
  });

  it('whose approval shows a text that Postgres refuses is still asked for', async () => {
    const source = `
plan: odd-question
input: { type: object, properties: { text: { type: string } } }
steps:
  ask: { approval: { message: "\${input.text}" } }
`;
    const runId = await engine.start(await engine.save(source), { text: 'really\u0000?' });
    await engine.until(runId, ({ status }) => status === 'waiting');
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
  });

  it('whose output cannot be evaluated fails though its steps have not', async () => {
    const result = await engine.run('plan: bad-output\nsteps:\n  list: { transform: [] }\noutput: "${steps.list.output[3]}"\n');
    expect(result).toMatchObject({ status: 'failed', error: { stepPath: null } });
    expect(await statuses(result.id)).toEqual(['list succeeded 1']);
  });

  it('takes nothing from 200 writers that lost their fence: not one commits', async () => {
    const runId = await engine.start(await engine.save('plan: fenced\nsteps:\n  rest: { tool: test.rest, with: { waitMs: 3000 } }\n'));
    await engine.untilStep(runId, 'rest', 'running');
    const [run] = await engine.rig.system.sql<{ chain: string }[]>`select claimed_by as chain from kos.runs where id = ${runId}`;
    const claim = { runId, workspaceId: engine.workspaceId, generation: 1, chain: run?.chain ?? '' };
    const place = { path: 'rest', step: 0, item: null, kind: 'tool' };
    const taken: TakenStep[] = [];
    for (let writer = 0; writer <= 200; writer += 1) {
      const step = await engine.rig.database.inWorkspace(engine.workspaceId, ({ sql }) => takeStep(sql, claim, place));
      if (step.taken) taken.push(step);
    }
    expect(taken).toHaveLength(201);
    const ending = { status: 'failed' as const, output: null, error: null, costMicros: 0, metadata: { stale: true } };
    const writers = taken.slice(0, 200).map((step) => engine.rig.database.inWorkspace(engine.workspaceId, ({ sql }) => endStep(sql, claim, step, ending)));
    const written = await Promise.allSettled(writers);
    expect(written.filter((outcome) => outcome.status === 'rejected' && outcome.reason instanceof StaleWriter)).toHaveLength(200);
    // The activity that began it is one of them: it takes the step again, in the same attempt.
    expect((await engine.ended(runId)).status).toBe('succeeded');
    expect((await engine.steps(runId))[0]).toMatchObject({ status: 'succeeded', attempt: 1 });
    const events = await engine.rig.system.sql`select 1 from kos.events where run_id = ${runId} and type in ('step.failed', 'step.succeeded')`;
    expect(events).toHaveLength(1);
  });
});

describe('a disk that is full', () => {
  it('holds an artifact back until there is room, uses up no attempt, and loses nothing', async ({ skip }) => {
    if (disk === null) skip('only who may mount a file system can fill one up');
    const filler = join(disk ?? '', 'filler');
    await mkdir(join(disk ?? '', 'artifacts'), { recursive: true });
    await writeFile(filler, Buffer.alloc(2_900_000));
    const name = await engine.save(`
plan: full-disk
input: { type: object, properties: { text: { type: string } } }
steps:
  report: { artifact: { name: report.txt, content: "\${input.text}" }, retry: { maxAttempts: 1 } }
output: "\${steps.report.output.sizeBytes}"
`);
    const runId = await engine.start(name, { text: 'x'.repeat(500_000) });
    const held = await engine.untilStep(runId, 'report', 'retrying');
    expect(held).toMatchObject({ attempt: 1, error: { code: 'disk_full', fix: 'Free some space on that disk.' } });
    // Tried again meanwhile, more often than its plan has attempts.
    await expect.poll(() => retriesOf(runId), { timeout: 60_000 }).toBeGreaterThan(1);
    const [why] = await engine.rig.system.sql<{ text: string }[]>`select waiting_for->>'text' as text from kos.runs where id = ${runId}`;
    expect(why?.text).toMatch(/no space left on the disk .* uses up no attempt/);
    await rm(filler);
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 500_000 });
    expect(await statuses(runId)).toEqual(['report succeeded 1']);
    await expect(access(filler)).rejects.toThrow(/ENOENT/);
  });
});

it('leaves nothing running behind', async () => {
  await sleep(0);
  const open = await engine.rig.system.sql`select id from kos.runs where status in ('queued', 'running', 'waiting')`;
  expect(open).toEqual([]);
});
