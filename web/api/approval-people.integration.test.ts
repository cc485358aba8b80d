import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Approval } from '#schemas/approval.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { type ApprovalFixture, insertApproval, insertRun } from '#tests/rig/test-runs.ts';

interface Person {
  apiKey: string;
  principalId: string;
}

let api: TestApi;
let people: Person[];

beforeAll(async () => {
  api = await makeTestApi();
  people = [];
  for (let count = 0; count < 4; count += 1) people.push(await makeApprover());
});

afterAll(() => api.close());

const makeApprover = (): Promise<Person> => api.makeKey({ roles: ['approver'], scopes: ['approvals:decide', 'approvals:read', 'approvals:comment'] });

const shown = [{ stepPath: 'note', kind: 'tool', tool: 'fs.write', input: { path: 'out/note.txt', content: 'hello' } }];

interface Asked {
  approvalId: string;
  waitId: string;
  runId: string;
  digest: string;
}

async function ask(fixture: Partial<ApprovalFixture> & { responsible?: string } = {}): Promise<Asked> {
  const { workspaceId } = api.owner;
  return api.rig.database.inWorkspace(workspaceId, async (transaction) => {
    const runId = await insertRun(transaction, { workspaceId, status: 'waiting', responsible: fixture.responsible ?? 'prn_somebody' });
    return { runId, ...(await insertApproval(transaction, { workspaceId, runId, shown, ...fixture })) };
  });
}

let keys = 0;
const decide = (person: Person, { approvalId, digest }: Asked, body: object = {}): Promise<Answer> =>
  api.call('POST', `/v1/approvals/${approvalId}/decisions`, {
    apiKey: person.apiKey,
    body: { decision: 'approve', argumentsDigest: digest, ...body },
    headers: { 'idempotency-key': `people-${keys++}` },
  });

const post = (person: Person, { approvalId }: Asked, verb: string, body?: object): Promise<Answer> =>
  api.call('POST', `/v1/approvals/${approvalId}/${verb}`, {
    apiKey: person.apiKey,
    ...(body === undefined ? {} : { body }),
    headers: { 'idempotency-key': `people-${keys++}` },
  });

const read = async ({ approvalId }: Asked): Promise<Approval> => (await api.call('GET', `/v1/approvals/${approvalId}`)).body as unknown as Approval;

const eventsOf = async ({ approvalId }: Asked): Promise<string[]> =>
  (await api.rig.system.sql<{ type: string }[]>`select type from kos.events where data ->> 'approvalId' = ${approvalId} order by at, id`).map(
    ({ type }) => type,
  );

const [first, second, third] = [0, 1, 2].map((index) => () => people[index] as Person) as [() => Person, () => Person, () => Person];

describe('an approval that needs several people', () => {
  it('is given by as many different people, each once', async () => {
    const asked = await ask({ required: 2 });
    const one = await decide(first(), asked);
    expect([one.status, one.body.status, one.body['approvedBy']]).toEqual([200, 'open', 1]);
    expect((await decide(first(), asked)).body).toMatchObject({ status: 409, code: 'approval_given' });
    const outbox = await api.rig.system.sql`select 1 from kos.outbox where payload ->> 'waitId' = ${asked.waitId}`;
    expect(outbox).toHaveLength(0);
    const two = await decide(second(), asked);
    expect([two.body.status, two.body['approvedBy']]).toEqual(['approved', 2]);
    expect(await eventsOf(asked)).toEqual(['approval.decided', 'approval.decided']);
  });

  it('counts two keys of one person as that person', async () => {
    const asked = await ask({ required: 2 });
    const other = await api.makeKey({ roles: ['approver'], scopes: ['approvals:decide'] });
    await api.rig.system.sql`update kos.credentials set principal_id = ${first().principalId} where id = ${other.credentialId}`;
    await decide(first(), asked);
    expect((await decide(other, asked)).body).toMatchObject({ status: 409, code: 'approval_given' });
  });

  it('is denied by one, whoever approved before', async () => {
    const asked = await ask({ required: 3 });
    await decide(first(), asked);
    expect((await decide(second(), asked, { decision: 'deny' })).body.status).toBe('denied');
    expect((await decide(third(), asked)).body).toMatchObject({ status: 409, code: 'approval_decided' });
  });

  it('with four eyes does not count who answers for the run', async () => {
    const asked = await ask({ required: 2, fourEyes: true, responsible: first().principalId });
    expect((await decide(first(), asked)).body).toMatchObject({ status: 403, code: 'four_eyes' });
  });
});

describe('an approval of named people', () => {
  it('is theirs, whatever roles others hold', async () => {
    const asked = await ask({ from: 'user:second', approvers: [`user:${second().principalId}`] });
    expect((await decide(first(), asked)).body).toMatchObject({ status: 403, code: 'approver_role_missing' });
    expect(
      (
        await api.call('POST', `/v1/approvals/${asked.approvalId}/decisions`, {
          body: { decision: 'approve', argumentsDigest: asked.digest },
          headers: { 'idempotency-key': 'owner-too' },
        })
      ).status,
    ).toBe(403);
    expect((await decide(second(), asked)).body.status).toBe('approved');
  });

  it('needs the permission to decide, too', async () => {
    const plain = await api.makeKey({ roles: ['viewer'], scopes: null });
    const asked = await ask({ approvers: [`user:${plain.principalId}`] });
    expect((await decide(plain, asked)).body).toMatchObject({ status: 403, code: 'permission_missing' });
  });
});

describe('a claim', () => {
  it('keeps others from approving, not from denying, and ends by release or by itself', async () => {
    const asked = await ask();
    const claimed = await post(first(), asked, 'claim', { forMs: 60_000 });
    expect(claimed.body['claim']).toMatchObject({ by: first().principalId });
    expect((await post(second(), asked, 'claim', {})).body).toMatchObject({ status: 409, code: 'approval_claimed' });
    expect((await decide(second(), asked)).body).toMatchObject({ status: 409, code: 'approval_claimed' });
    expect((await post(second(), asked, 'release')).body).toMatchObject({ status: 409, code: 'approval_claimed' });
    expect((await post(first(), asked, 'release')).body['claim']).toBeNull();
    await post(first(), asked, 'claim', {});
    // It runs out by the database's clock.
    await api.rig.system.sql`update kos.approvals set claimed_until = clock_timestamp() - interval '1 ms' where id = ${asked.approvalId}`;
    expect((await read(asked)).claim).toBeNull();
    await post(first(), asked, 'claim', {});
    expect((await decide(second(), asked, { decision: 'deny' })).body).toMatchObject({ status: 'denied' });
    expect(await eventsOf(asked)).toEqual(['approval.claimed', 'approval.released', 'approval.claimed', 'approval.claimed', 'approval.decided']);
  });

  it('is only for who may decide, and is released by an admin', async () => {
    const asked = await ask({ approvers: [`user:${first().principalId}`] });
    expect((await post(second(), asked, 'claim', {})).status).toBe(403);
    await post(first(), asked, 'claim', {});
    expect((await api.call('POST', `/v1/approvals/${asked.approvalId}/release`)).body['claim']).toBeNull();
  });
});

describe('a comment', () => {
  it('is said without deciding, also when all is decided', async () => {
    const asked = await ask();
    const operator = await api.makeKey({ roles: ['operator'] });
    expect((await post(operator, asked, 'comments', { text: 'Is that the right file?' })).status).toBe(200);
    await decide(first(), asked);
    await post(first(), asked, 'comments', { text: 'It is.' });
    expect((await read(asked)).comments.map(({ by, text }) => [by, text])).toEqual([
      [operator.principalId, 'Is that the right file?'],
      [first().principalId, 'It is.'],
    ]);
    const viewer = await api.makeKey({ roles: ['viewer'] });
    expect((await post(viewer, asked, 'comments', { text: 'Me too' })).status).toBe(403);
  });
});

describe('an approval of other arguments', () => {
  const edited = [{ stepPath: 'note', input: { path: 'out/note.txt', content: 'edited' } }];

  it('replaces what is decided on: earlier approvals no longer count, and the old digest is refused', async () => {
    const asked = await ask({ required: 2 });
    await decide(first(), asked);
    const answer = await decide(second(), asked, { arguments: edited });
    expect(answer.body).toMatchObject({ status: 'open', approvedBy: 1, arguments: [{ ...shown[0], input: edited[0]?.input }] });
    const digest = answer.body['argumentsDigest'] as string;
    expect(digest).not.toBe(asked.digest);
    expect((await decide(third(), asked)).body).toMatchObject({ status: 412, code: 'arguments_changed', argumentsDigest: digest });
    // The first one may approve what it is now.
    expect((await decide(first(), { ...asked, digest })).body).toMatchObject({ status: 'approved', approvedBy: 2 });
    expect(await eventsOf(asked)).toEqual(expect.arrayContaining(['approval.edited']));
  });

  it('that the tool would not take, of another step, or with a denial is refused, and nothing is written', async () => {
    const asked = await ask();
    const wrong = await decide(first(), asked, { arguments: [{ stepPath: 'note', input: { path: 5 } }] });
    expect(wrong.body).toMatchObject({ status: 422, code: 'arguments_invalid' });
    expect(wrong.body.errors.map(({ pointer }) => pointer)).toContain('/arguments/0/input/path');
    expect((await decide(first(), asked, { arguments: [{ stepPath: 'other', input: {} }] })).body).toMatchObject({ code: 'arguments_invalid' });
    expect((await decide(first(), asked, { decision: 'deny', arguments: edited })).status).toBeGreaterThanOrEqual(400);
    expect(await read(asked)).toMatchObject({ status: 'open', argumentsDigest: asked.digest, decisions: [] });
  });

  it('is refused where the tool is installed in another version than it was asked for', async () => {
    const asked = await ask({ covers: { plan: '0'.repeat(64), tools: { 'fs.write': 99 } } });
    expect((await decide(first(), asked, { arguments: edited })).body).toMatchObject({ status: 409, code: 'edit_refused' });
  });
});

describe('arguments that change after they were shown', () => {
  it('are refused, 200 times of 200: by the digest, and where the row was changed behind our back', async () => {
    const refused: unknown[] = [];
    for (let round = 0; round < 20; round += 1) {
      const batch = await Promise.all(
        Array.from({ length: 10 }, async (_, index) => {
          const asked = await ask({ required: 2 });
          if (index % 2 === 0) {
            await decide(first(), asked, { arguments: [{ stepPath: 'note', input: { path: 'out/note.txt', content: `other ${index}` } }] });
          } else {
            await api.rig.system.sql`update kos.approvals set arguments = replace(arguments::text, 'hello', 'evil')::json where id = ${asked.approvalId}`;
          }
          const answer = await decide(second(), asked);
          return [answer.status, answer.body.code, (await read(asked)).status];
        }),
      );
      refused.push(...batch);
    }
    expect(refused).toHaveLength(200);
    expect(new Set(refused.map((one) => JSON.stringify(one)))).toEqual(new Set(['[412,"arguments_changed","open"]', '[409,"approval_tampered","open"]']));
  });
});
