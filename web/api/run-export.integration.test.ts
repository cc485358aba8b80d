import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Permission } from '#core/policy/permissions.ts';
import { newId } from '#services/ids.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertApproval } from '#tests/rig/test-runs.ts';

let api: TestApi;
let runId: string;
const content = Buffer.from(Array.from({ length: 200_001 }, (_, index) => index % 251));

beforeAll(async () => {
  api = await makeTestApi({ realRuns: true });
  const { workspaceId } = api.owner;
  await api.call('POST', '/v1/plans', { body: { source: 'plan: told\nsteps:\n  only: { transform: 1 }\n' } });
  const started = await api.call('POST', '/v1/runs', { body: { plan: 'told' }, headers: { 'idempotency-key': newId('run') } });
  runId = started.body.id;
  const stored = await api.dependencies.artifacts.putArtifact(workspaceId, content);
  await api.rig.database.inWorkspace(workspaceId, async (transaction) => {
    const { sql } = transaction;
    const { approvalId } = await insertApproval(transaction, { workspaceId, runId });
    await recordAudit(sql, [{ workspaceId, actor: 'prn_test', action: 'approval.decide', subject: approvalId, data: {} }]);
    await recordAudit(sql, [{ workspaceId, actor: 'prn_test', action: 'run.pause', subject: newId('run'), data: {} }]);
    for (let count = 0; count < 450; count += 1) await recordEvents(sql, [{ workspaceId, runId, type: 'step.retrying', data: { count } }]);
    await recordEvents(sql, [{ workspaceId, runId, type: 'approval.requested', data: {} }]);
    for (const [path, step, output] of [
      ['only', 0, 'small'],
      ['large', 1, randomBytes(16_000).toString('hex')],
    ] as const)
      await sql`
        insert into kos.steps (workspace_id, run_id, path, step, kind, status, attempt, fence, output, metadata)
        values (${workspaceId}, ${runId}, ${path}, ${step}, 'transform', 'succeeded', 2, 1, ${sql.json(output)}, '{}')`;
    for (const [name, { sha256, sizeBytes }] of [
      ['bytes', stored],
      ['lost', { sha256: 'f'.repeat(64), sizeBytes: 1 }],
    ] as const)
      await sql`
        insert into kos.artifacts (id, workspace_id, run_id, step_path, name, media_type, size_bytes, sha256)
        values (${newId('artifact')}, ${workspaceId}, ${runId}, ${name}, ${name}, 'application/octet-stream', ${sizeBytes}, ${sha256})`;
  });
});

afterAll(() => api.close());

interface Exported {
  format: string;
  run: { id: string };
  plan: { name: string; source: string };
  steps: { path: string; attempt: number; output?: unknown; outputRef?: string }[];
  approvals: { runId: string }[];
  artifacts: { name: string; sha256: string; content?: string | null }[];
  events: { type: string; data: { count?: number } }[];
  audit: { action: string; subject: string; leafIndex: number | null }[];
  withheld: { section: string; permission: string }[];
}

async function read(query = '', apiKey = api.apiKey): Promise<Exported> {
  const { status, headers, text } = await api.call('GET', `/v1/runs/${runId}/export${query}`, { apiKey });
  expect([status, headers.get('content-disposition')]).toEqual([200, `attachment; filename="${runId}.json"`]);
  return JSON.parse(text) as Exported;
}

describe('a run as one document', () => {
  it('holds everything about it, large things by reference', async () => {
    // The sequencer numbers them in its own time.
    await expect.poll(async () => (await read()).events.length).toBe(452);
    const seen = await read();
    expect(Object.keys(seen)).toEqual([
      'format',
      'exportedAt',
      'run',
      'plan',
      'steps',
      'signals',
      'approvals',
      'artifacts',
      'subRuns',
      'events',
      'audit',
      'withheld',
    ]);
    expect([seen.format, seen.run.id, seen.plan.name, seen.withheld]).toEqual(['kos-run/1', runId, 'told', []]);
    expect(seen.plan.source).toContain('only: { transform: 1 }');
    expect(seen.steps.map(({ path, attempt, output, outputRef }) => [path, attempt, output, outputRef])).toEqual([
      ['only', 2, 'small', undefined],
      ['large', 2, undefined, 'large'],
    ]);
    expect(seen.approvals.map((approval) => approval.runId)).toEqual([runId]);
    expect(new Map(seen.artifacts.map(({ name, content: held }) => [name, held]))).toEqual(
      new Map([
        ['bytes', undefined],
        ['lost', undefined],
      ]),
    );
    expect(seen.events.flatMap(({ data }) => data.count ?? [])).toEqual(Array.from({ length: 450 }, (_, count) => count));
    expect(seen.audit.map(({ action }) => action)).toEqual(['run.accept', 'approval.decide']);
  });

  it('holds the contents of artifacts and whole outputs for those who ask', async () => {
    const seen = await read('?artifacts=contents&outputs=whole');
    const held = new Map(seen.artifacts.map((artifact) => [artifact.name, artifact.content]));
    expect(Buffer.from(held.get('bytes') ?? '', 'base64').equals(content)).toBe(true);
    expect(held.get('lost')).toBeNull();
    expect(String(seen.steps[1]?.output).length).toBe(32_000);
  });

  it('leaves out what its reader may not see, and says so', async () => {
    const scopes: Permission[] = ['runs:read', 'plans:read'];
    const { apiKey } = await api.makeKey({ roles: ['owner'], scopes });
    const seen = await read('', apiKey);
    expect(seen.withheld).toEqual([
      { section: 'approvals', permission: 'approvals:read' },
      { section: 'artifacts', permission: 'artifacts:read' },
      { section: 'audit', permission: 'audit:read' },
    ]);
    expect([seen.approvals, seen.artifacts, seen.audit]).toEqual([undefined, undefined, undefined]);
    expect(seen.events.map(({ type }) => type)).not.toContain('approval.requested');
    expect(seen.events).toHaveLength(451);
  });

  it('is not there for another workspace', async () => {
    const workspaceId = await api.makeWorkspace();
    const { apiKey } = await api.makeKey({ roles: ['owner'], workspaceId });
    expect((await api.call('GET', `/v1/runs/${runId}/export`, { apiKey })).status).toBe(404);
  });
});
