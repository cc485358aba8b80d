import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import proto from '@temporalio/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { environment, readConfiguration } from '#config';
import { currentRules } from '#core/engine/decide.ts';
import { orderResume } from '#services/duties/reconciler.ts';
import { findTemporalBinary } from '#services/embedded/temporal-binary.ts';
import { newId } from '#services/ids.ts';
import { createFixedSealing } from '#services/sealing/sealing.ts';
import { createSecretService } from '#services/secrets/secrets.ts';
import { historiesOf } from '#tests/rig/replay.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

const run = promisify(execFile);
const web = createServer();
let engine: TestEngine;
let port: number;

beforeAll(async () => {
  web.on('request', (request, response) =>
    response.writeHead(200, { 'content-type': 'text/plain' }).end(`ANSWER-private ${request.headers.authorization ?? ''}`),
  );
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  ({ port } = web.address() as AddressInfo);
  engine = await makeTestEngine({ egress: [`127.0.0.1:${port}`] });
});
afterAll(async () => {
  await engine.close();
  web.close();
});

const marks = [
  'INPUT-private',
  'PROMPT-private',
  'OUTPUT-private',
  'ANSWER-private',
  'SECRET-private',
  'MESSAGE-private',
  'FAILURE-private',
  'private-plan',
  'privateStep',
];

describe('what Temporal stores of a run', () => {
  let runId: string;

  beforeAll(async () => {
    const secrets = createSecretService({ database: engine.rig.database, sealing: createFixedSealing({ purpose: 'secret', key: Buffer.alloc(32, 3) }) });
    await secrets.set({ workspaceId: engine.workspaceId, actor: 'prn_test', name: 'TOKEN', value: 'SECRET-private', hosts: ['127.0.0.1'] });
    const source = `
plan: private-plan
input: { type: object, properties: { text: { type: string } } }
steps:
  privateStep: { transform: "OUTPUT-private \${input.text}" }
  ask: { llm: { model: fast, prompt: "PROMPT-private {{ text }}", with: { text: "\${steps.privateStep.output}" } } }
  get: { tool: http.fetch, with: { url: "http://127.0.0.1:${port}/", headers: { authorization: "Bearer secret://TOKEN" } } }
  items: { transform: "OUTPUT-private \${item}", forEach: "\${range(3)}" }
  bad: { tool: test.fail, with: { times: 9, message: FAILURE-private }, retry: { maxAttempts: 1 }, onError: continue }
  pause: { wait: { forMs: 10 } }
  signOff: { approval: { message: "MESSAGE-private", expiresInMs: 1000, onDeny: continue }, needs: [bad, items, get, ask, pause] }
output: "\${steps.ask.output}"
`;
    runId = (await engine.run(source, { text: 'INPUT-private' })).id;
  });

  it('is of a run that used all of it', async () => {
    expect(await engine.read(runId)).toMatchObject({ error: null, status: 'succeeded' });
    const steps = JSON.stringify(await engine.steps(runId));
    expect(steps).toContain('ANSWER-private');
    expect(steps).toContain('FAILURE-private');
    expect(steps).not.toContain('SECRET-private');
  });

  it('holds no plan, data, prompt, output or secret in clear', async () => {
    const bytes: Buffer[] = [];
    for await (const { history } of historiesOf(engine, [runId])) bytes.push(Buffer.from(proto.temporal.api.history.v1.History.encode(history).finish()));
    const stored = Buffer.concat(bytes);
    expect(stored.length).toBeGreaterThan(5_000);
    expect(marks.filter((mark) => stored.includes(mark))).toEqual([]);
    // One payload of each execution is not sealed: the search attribute, an opaque id of the workspace. Beside it the SDK writes into the marker of each quick unit, and
    // of each batch of items, which activity it was and when.
    const markers = stored.toString('latin1').match(/core_local_activity/g) ?? [];
    expect(markers).toHaveLength(2);
    expect(stored.toString('latin1').match(/json\/plain/g)).toHaveLength(bytes.length + markers.length);
    expect(stored.includes(engine.workspaceId)).toBe(true);
  });

  it('shows none of it to `temporal workflow show`', async () => {
    const binary = await findTemporalBinary({ cache: readConfiguration(environment).cache, environment, say: () => undefined });
    const words = [
      'workflow',
      'show',
      '--workflow-id',
      runId,
      '--address',
      engine.address,
      '--namespace',
      engine.namespace,
      '--output',
      'json',
      '--disable-config-file',
    ];
    const { stdout } = await run(binary, words, { maxBuffer: 50_000_000 });
    const payloads = [...stdout.matchAll(/"data": ?"([^"]*)"/g)].map(([, data]) => Buffer.from(data ?? '', 'base64').toString('latin1'));
    expect(payloads.length).toBeGreaterThan(10);
    const shown = stdout + payloads.join('\n');
    expect(marks.filter((mark) => shown.includes(mark))).toEqual([]);
    expect(shown).toContain(Buffer.from('binary/kos-v1').toString('base64'));
  });
});

describe('row security', () => {
  it('lets the engine write into the workspace of its run only', async () => {
    const tables = await engine.rig.system.sql<{ name: string }[]>`
      select table_name as name from information_schema.columns
      where table_schema = 'kos' group by table_name having bool_or(column_name = 'workspace_id') and bool_or(column_name = 'run_id')`;
    expect(tables.map(({ name }) => name)).toEqual(expect.arrayContaining(['steps', 'effects', 'waits', 'approvals', 'events']));
    for (const { name } of tables) {
      const strangers = await engine.rig.system
        .sql`select run_id from kos.${engine.rig.system.sql(name)} where run_id in ${engine.rig.system.sql(engine.runIds)} and workspace_id <> ${engine.workspaceId}`;
      expect(strangers, name).toEqual([]);
    }
  });

  it('shows a run of another workspace to nobody: a workflow that names the wrong one moves nothing', async () => {
    const other = newId('workspace');
    await engine.rig.system.sql`insert into kos.workspaces (workspace_id, slug, name) values (${other}, ${other}, 'Other')`;
    await engine.stopWorker();
    const runId = await engine.start(await engine.save('plan: elsewhere\nsteps:\n  only: { transform: 1 }\noutput: "${steps.only.output}"\n'));
    await expect.poll(() => engine.workflows.describe(runId)).not.toBeNull();
    await engine.workflows.terminate(runId, 'to be started with another workspace');
    const shape = { steps: [{ kind: 'transform' as const, needs: [], timeoutMs: 1_000 }], units: [[0]], maxInFlight: 1, timeoutMs: null };
    await engine.workflows.start({ runId, workspaceId: other, rules: currentRules, generation: 1, shape, endsInMs: null, windows: [] }, { resume: true });
    await engine.startWorker();
    await expect.poll(async () => (await engine.workflows.describe(runId))?.status, { timeout: 10_000 }).toBe('completed');
    expect((await engine.read(runId)).status).toBe('queued');
    expect(await engine.steps(runId)).toEqual([]);
    const strange = await engine.rig.system.sql`select 1 from kos.steps where workspace_id = ${other}`;
    expect(strange).toEqual([]);
    await engine.rig.system.sql.begin((sql) => orderResume(sql, { id: runId, workspaceId: engine.workspaceId }));
    expect(await engine.ended(runId)).toMatchObject({ status: 'succeeded', output: 1 });
  });
});
