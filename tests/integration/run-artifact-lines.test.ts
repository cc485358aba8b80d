import { readdir, readFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#services/ids.ts';
import { deleteRun } from '#services/runs/remove.ts';
import { makeArtifacts } from '#tests/rig/engine-worker.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { makeTestEngine, type TestEngine } from '#tests/rig/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await makeTestEngine();
});
afterAll(() => engine.close());

/** Writes an artifact whose content is the input, and gives its id. */
async function makeArtifact(content: string): Promise<{ id: string; runId: string; sha256: string }> {
  const run = await engine.run(
    `
plan: make-artifact
input: { type: object, properties: { content: { type: string } } }
steps:
  make: { artifact: { name: lines.txt, content: "\${input.content}" } }
output: "\${steps.make.output}"
`,
    { content },
  );
  const { artifactId, sha256 } = run.output as { artifactId: string; sha256: string };
  return { id: artifactId, runId: run.id, sha256 };
}

const overLines = (name: string, lines: 'text' | 'json', step = 'transform: "${item}"'): string => `
plan: ${name}
input: { type: object, properties: { artifact: {} } }
steps:
  each:
    ${step}
    forEach: { artifact: "\${input.artifact}", lines: ${lines} }
output: "\${steps.each.output}"
`;

const pathOf = ({ sha256 }: { sha256: string }): string => join(engine.home, 'artifacts', engine.workspaceId, sha256.slice(0, 2), sha256);

const sourceDeleted = (runId: string): Promise<void> =>
  deleteRun(
    { system: engine.rig.system, artifacts: makeArtifacts({ home: engine.home, artifacts: null }), now: () => Date.now() + 3_600_000 },
    { workspaceId: engine.workspaceId, actor: 'prn_test', runId },
  );

describe('a forEach over the lines of an artifact', () => {
  it('sees each line as an item, in their order, by reference', async () => {
    const artifact = await makeArtifact('first\r\n\nthird: ä\n');
    const run = await engine.run(overLines('text-lines', 'text', 'transform: "${index}: ${item}"'), { artifact: artifact.id });
    expect(run).toMatchObject({ error: null, output: ['0: first', '1: ', '2: third: ä'] });
    const [step, , , third] = await engine.steps(run.id);
    expect(step?.metadata).toMatchObject({ items: 3, linesOf: { artifactId: artifact.id, sha256: artifact.sha256 } });
    expect(third?.metadata).toMatchObject({ line: { at: 8, bytes: 9 } });
    const rows = await engine.rig.system.sql<{ input: unknown }[]>`select input from kos.steps where run_id = ${run.id} and item is not null`;
    expect(rows.map(({ input }) => input)).toEqual([null, null, null]);
  });

  it('sees the values of JSON lines', async () => {
    const artifact = await makeArtifact('{"n": 1}\n{"n": 2}\n');
    expect(await engine.run(overLines('json-lines', 'json', 'transform: "${item.n * 10}"'), { artifact: artifact.id })).toMatchObject({ output: [10, 20] });
  });

  it('of an empty artifact has no items', async () => {
    const artifact = await makeArtifact('');
    expect(await engine.run(overLines('no-lines', 'json'), { artifact: artifact.id })).toMatchObject({ error: null, output: [] });
  });

  it('serves steps that wait, too', async () => {
    const artifact = await makeArtifact('5\n10\n');
    const run = await engine.run(overLines('waiting-lines', 'json', 'wait: { forMs: "${item}" }'), { artifact: artifact.id });
    expect(run).toMatchObject({ error: null, output: [{ until: expect.any(String) as unknown }, { until: expect.any(String) as unknown }] });
  });

  it('takes 100,000 of them, the most there may be, in windows', async () => {
    const artifact = await makeArtifact(Array.from({ length: 100_000 }, (_, n) => `line ${n}`).join('\n'));
    const runId = await engine.start(await engine.save(overLines('most-lines', 'text')), { artifact: artifact.id });
    await engine.untilStep(runId, 'each[0]', 'succeeded');
    const [step] = await engine.steps(runId);
    expect(step?.metadata).toMatchObject({ items: 100_000 });
    const [last] = await engine.rig.system.sql<{ line: unknown }[]>`select metadata->'line' as line from kos.steps where run_id = ${runId} and item = 99999`;
    expect(last?.line).toEqual({ at: 1_088_879, bytes: 10 });
    await engine.cancel(runId);
    expect((await engine.ended(runId)).status).toBe('cancelled');
  });

  it('goes to the fallback of onError when a line is wrong, and no item has begun', async () => {
    const artifact = await makeArtifact('1\n2\nthree\n');
    const step = 'tool: test.repeat\n    with: { file: "${run.id}" }\n    onError: { value: "${error.code}" }';
    const run = await engine.run(overLines('wrong-line', 'json', step), { artifact: artifact.id });
    expect(run).toMatchObject({ status: 'succeeded', output: 'line_not_json' });
    expect(await engine.statusesOf(run.id)).toEqual([['each', 'failed']]);
  });

  it('keeps its artifact when the run that wrote it is deleted', async () => {
    const artifact = await makeArtifact('20000\n1\n');
    const runId = await engine.start(await engine.save(overLines('keeps-it', 'json', 'wait: { forMs: "${item}" }')), { artifact: artifact.id });
    await engine.untilStep(runId, 'each[1]', 'succeeded');
    await sourceDeleted(artifact.runId);
    const [row] = await engine.rig.system.sql<{ id: string }[]>`select id from kos.artifacts where id = ${artifact.id}`;
    expect(row?.id).toBe(artifact.id);
    await engine.cancel(runId);
    await engine.ended(runId);
    await sourceDeleted(runId);
    expect(await engine.rig.system.sql`select 1 from kos.artifacts where id = ${artifact.id}`).toHaveLength(0);
    await expect(readFile(pathOf(artifact))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('a forEach over lines is refused, with the reason, when the artifact', () => {
  const refusalOf = async (artifact: unknown, lines: 'text' | 'json' = 'json') =>
    (await engine.run(overLines('refused', lines), { artifact: artifact as string })).error;

  it('was deleted, or never was', async () => {
    const artifact = await makeArtifact('1\n');
    await sourceDeleted(artifact.runId);
    const error = { code: 'artifact_not_found', message: `There is no artifact ${artifact.id} in this workspace.`, stepPath: 'each' };
    expect(await refusalOf(artifact.id)).toMatchObject(error);
    expect(await refusalOf('art_none')).toMatchObject({ code: 'artifact_not_found' });
  });

  it('is of another workspace', async () => {
    const artifact = await makeArtifact('1\n');
    const [id, workspaceId] = [newId('artifact'), newId('workspace')];
    await engine.rig.system.sql`
      insert into kos.artifacts (id, workspace_id, run_id, step_path, name, media_type, size_bytes, sha256)
      select ${id}, ${workspaceId}, run_id, step_path || '-theirs', name, media_type, size_bytes, sha256 from kos.artifacts where id = ${artifact.id}`;
    expect(await refusalOf(id)).toMatchObject({ code: 'artifact_not_found', message: `There is no artifact ${id} in this workspace.` });
  });

  it('is named by something else than text', async () => {
    expect(await refusalOf({ artifactId: 'art_1' })).toMatchObject({ code: 'for_each_no_artifact', message: expect.stringContaining('each') as unknown });
  });

  it('has lost its content, or a part of it', async () => {
    const artifact = await makeArtifact('lost 1\n');
    await rm(pathOf(artifact));
    expect(await refusalOf(artifact.id, 'text')).toMatchObject({ code: 'artifact_content_missing' });
    const other = await makeArtifact('damaged 1\ndamaged 2\n');
    await truncate(pathOf(other), 12);
    expect(await refusalOf(other.id, 'text')).toMatchObject({ code: 'artifact_content_damaged' });
  });

  it('has too many lines, or one that is too long', async () => {
    const many = await makeArtifact('1\n'.repeat(100_001));
    expect(await refusalOf(many.id)).toMatchObject({ code: 'for_each_too_large', message: expect.stringContaining('more than 100000 lines') as unknown });
    const long = await makeArtifact(`1\n${'2'.repeat(1_000_001)}\n`);
    expect(await refusalOf(long.id)).toMatchObject({ code: 'line_too_long', message: expect.stringContaining('Line 2') as unknown });
  });
});

describe('a worker that is killed (SIGKILL) half-way through the lines of an artifact', () => {
  it('leaves each line to be worked on once, by what stands in it', async () => {
    const lines = proofSize(620, 1_200);
    const content = Array.from({ length: lines }, (_, n) => JSON.stringify({ order: `A-${n}`, note: 'x'.repeat(n % 50) })).join('\n');
    const artifact = await makeArtifact(content);
    const file = '${run.id}/${item.order}.txt';
    const step = `tool: fs.create\n    with: { path: "${file}", content: "\${index} \${size(item.note)}" }\n    concurrency: 24`;
    const plan = await engine.save(overLines('killed-lines', 'json', step).replace('"${steps.each.output}"', '"${size(steps.each.output)}"'));
    await engine.stopWorker();
    const first = await engine.startWorkerProcess();
    const runId = await engine.start(plan, { artifact: artifact.id });
    const done = async (): Promise<number> => (await engine.steps(runId)).filter(({ path, status }) => path.includes('[') && status === 'succeeded').length;
    await expect.poll(done, { timeout: 240_000, interval: 50 }).toBeGreaterThan(lines / 4);
    await engine.startWorkerProcess();
    expect(await done()).toBeLessThan(lines);
    await first.kill();
    expect(await engine.ended(runId)).toMatchObject({ error: null, output: lines });
    const folder = join(engine.home, 'workspace', runId);
    const files = await readdir(folder);
    expect(new Set(files)).toEqual(new Set(Array.from({ length: lines }, (_, n) => `A-${n}.txt`)));
    for (const n of [0, 499, 500, lines - 1]) expect(await readFile(join(folder, `A-${n}.txt`), 'utf8')).toBe(`${n} ${n % 50}`);
    expect((await engine.steps(runId)).filter(({ attempt, path }) => path.includes('[') && attempt !== 1)).toEqual([]);
  });
});
