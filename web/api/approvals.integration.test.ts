import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Role } from '#core/policy/permissions.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { type ApprovalFixture, insertApproval, insertRun, testArgumentsDigest } from '#tests/rig/test-runs.ts';

let api: TestApi;
let approver: { apiKey: string; principalId: string };

beforeAll(async () => {
  api = await makeTestApi();
  approver = await api.makeKey({ roles: ['approver'], scopes: ['approvals:decide', 'approvals:read'] });
});

afterAll(() => api.close());

async function ask(fixture: Partial<ApprovalFixture> & { responsible?: string } = {}): Promise<{ approvalId: string; waitId: string; runId: string }> {
  const { workspaceId } = api.owner;
  return api.rig.database.inWorkspace(workspaceId, async (transaction) => {
    const runId = await insertRun(transaction, { workspaceId, status: 'waiting', responsible: fixture.responsible ?? 'prn_somebody' });
    return { runId, ...(await insertApproval(transaction, { workspaceId, runId, ...fixture })) };
  });
}

let keys = 0;
const decide = (approvalId: string, decision: 'approve' | 'deny', options: { apiKey?: string; argumentsDigest?: string; key?: string } = {}): Promise<Answer> =>
  api.call('POST', `/v1/approvals/${approvalId}/decisions`, {
    apiKey: options.apiKey ?? approver.apiKey,
    body: { decision, argumentsDigest: options.argumentsDigest ?? testArgumentsDigest, reason: 'because' },
    headers: { 'idempotency-key': options.key ?? `decision-${keys++}` },
  });

const stateOf = async (waitId: string, approvalId: string) => {
  const { sql } = api.rig.system;
  const [wait] = await sql`select status, version, closed_at is not null as closed from kos.waits where id = ${waitId}`;
  const [approval] = await sql`select status from kos.approvals where id = ${approvalId}`;
  const outbox = await sql`select kind, payload from kos.outbox where payload ->> 'waitId' = ${waitId}`;
  const events = await sql`select type from kos.events where data ->> 'approvalId' = ${approvalId}`;
  const audit = await sql`select action from kos.audit_entries where subject = ${approvalId}`;
  return { wait: { ...wait }, approval: approval?.['status'], outbox: outbox.map((row) => ({ ...row })), events: events.length, audit: audit.length };
};

describe('a decision', () => {
  it('is one transaction: approval, wait, event, audit entry, and what Temporal is told', async () => {
    const { approvalId, waitId } = await ask();
    const answer = await decide(approvalId, 'approve');
    expect([answer.status, answer.body.status]).toEqual([200, 'approved']);
    expect(answer.body['decisions']).toEqual([
      {
        by: approver.principalId,
        responsible: approver.principalId,
        decision: 'approve',
        reason: 'because',
        argumentsDigest: testArgumentsDigest,
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/),
      },
    ]);
    expect(await stateOf(waitId, approvalId)).toEqual({
      wait: { status: 'settled', version: 2, closed: true },
      approval: 'approved',
      outbox: [{ kind: 'decision', payload: { waitId, version: 2 } }],
      events: 1,
      audit: 1,
    });
  });

  it('is one, of fifty that race', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { approvalId, waitId } = await ask();
      const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => decide(approvalId, index % 2 === 0 ? 'approve' : 'deny')));
      const won = answers.filter(({ status }) => status === 200);
      expect(won).toHaveLength(1);
      for (const lost of answers.filter(({ status }) => status !== 200)) expect([lost.status, lost.body.code]).toEqual([409, 'approval_decided']);
      const state = await stateOf(waitId, approvalId);
      expect([state.approval, state.outbox.length, state.events, state.audit, state.wait['version']]).toEqual([won[0]!.body.status, 1, 1, 1, 2]);
    }
  });

  it('is answered again under its key, also after somebody wonders', async () => {
    const { approvalId } = await ask();
    const first = await decide(approvalId, 'deny', { key: 'again' });
    const again = await decide(approvalId, 'deny', { key: 'again' });
    expect([first.status, again.status, again.body.status, again.headers.get('idempotency-replayed')]).toEqual([200, 200, 'denied', 'true']);
    // The same key on another approval is another request.
    const other = await ask();
    expect((await decide(other.approvalId, 'deny', { key: 'again' })).headers.get('idempotency-replayed')).toBeNull();
  });

  it('holds for the arguments that were shown: others are answered with the current ones', async () => {
    const { approvalId, waitId } = await ask();
    const answer = await decide(approvalId, 'approve', { argumentsDigest: 'b'.repeat(64) });
    expect(answer.body).toMatchObject({ status: 412, code: 'arguments_changed', argumentsDigest: testArgumentsDigest, arguments: [{ stepPath: 'report' }] });
    expect((await stateOf(waitId, approvalId)).approval).toBe('open');
  });

  it('comes too late by the database’s clock, whether or not the expiry was recorded', async () => {
    const { approvalId } = await ask({ expiresInMs: -1 });
    expect((await decide(approvalId, 'approve')).body).toMatchObject({ status: 409, code: 'approval_expired' });
    expect((await api.call('GET', `/v1/approvals/${approvalId}`)).body.status).toBe('expired');
    const expired = await api.call('GET', '/v1/approvals?status=expired&limit=200');
    expect(expired.body.items.map(({ id }) => id)).toContain(approvalId);
  });

  it('is refused where the wait is over: decided, voided with its run', async () => {
    const { approvalId, waitId } = await ask();
    await api.rig.system.sql`update kos.waits set status = 'voided' where id = ${waitId}`;
    expect((await decide(approvalId, 'approve')).body).toMatchObject({ status: 409, code: 'approval_voided' });
    await api.rig.system.sql`update kos.approvals set status = 'voided' where id = ${approvalId}`;
    expect((await decide(approvalId, 'approve')).body).toMatchObject({ status: 409, code: 'approval_voided' });
  });

  it('belongs to the role that was asked, or one that includes it', async () => {
    const { approvalId } = await ask({ from: 'role:admin' });
    expect((await decide(approvalId, 'approve')).body).toMatchObject({ status: 403, code: 'approver_role_missing' });
    const decideAs = async (roles: Role[]) => (await api.makeKey({ roles, scopes: ['approvals:decide'] })).apiKey;
    expect((await decide(approvalId, 'approve', { apiKey: await decideAs(['operator', 'approver']) })).status).toBe(403);
    expect((await decide(approvalId, 'approve', { apiKey: await decideAs(['owner']) })).status).toBe(200);
  });

  it('needs other eyes than those of who answers for the run, where the plan says so', async () => {
    const { approvalId } = await ask({ fourEyes: true, responsible: approver.principalId });
    expect((await decide(approvalId, 'approve')).body).toMatchObject({ status: 403, code: 'four_eyes' });
    expect((await decide(approvalId, 'approve', { apiKey: api.apiKey })).status).toBe(200);
    const own = await ask({ responsible: approver.principalId });
    expect((await decide(own.approvalId, 'approve')).status).toBe(200);
  });

  it('is nothing that a key has by itself', async () => {
    const { approvalId } = await ask();
    const plain = await api.makeKey({ roles: ['owner'] });
    expect((await decide(approvalId, 'approve', { apiKey: plain.apiKey })).body).toMatchObject({
      status: 403,
      code: 'permission_missing',
      permission: 'approvals:decide',
    });
  });
});

describe('approvals', () => {
  it('are listed by status and run', async () => {
    const { approvalId, runId } = await ask();
    const list = async (query: string) => (await api.call('GET', `/v1/approvals?${query}`)).body.items.map(({ id }) => id);
    expect(await list(`run=${runId}`)).toEqual([approvalId]);
    expect(await list(`run=${runId}&status=open`)).toEqual([approvalId]);
    expect(await list(`run=${runId}&status=approved`)).toEqual([]);
    expect((await api.call('GET', '/v1/overview')).body['openApprovals']).toBeGreaterThan(0);
  });
});
