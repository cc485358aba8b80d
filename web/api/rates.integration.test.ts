import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RateLimit, type RateTable, usualRates } from '#core/policy/rates.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import { pruneAccess } from '#services/people/prune.ts';
import { createRateLimiter } from '#services/rates/limiter.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { insertRun } from '#tests/rig/test-runs.ts';
import { addressOf, createRateGuard } from './rate-guard.ts';

let api: TestApi;

/** The usual table, with an hour's limit that a test can reach. */
const table: RateTable = {
  ...usualRates,
  change: [
    { name: 'change', limit: 20, windowSeconds: 600 },
    { name: 'change-hour', limit: 25, windowSeconds: 36_000 },
  ],
  failedCredentials: [{ name: 'failed', limit: 30, windowSeconds: 600 }],
  signIn: [{ name: 'sign-in', limit: 10, windowSeconds: 600 }],
  streamsOfProgram: 3,
};

beforeAll(async () => {
  api = await makeTestApi({ rates: table });
});

afterAll(() => api.close());

const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });
const statuses = (answers: Answer[]): Record<number, number> =>
  Object.fromEntries([...Map.groupBy(answers, ({ status }) => status)].map(([status, group]) => [status, group.length]));

describe('the limits of a credential', () => {
  it('count changes, tell how one stands, and end in 429 with when to go on', async () => {
    const { apiKey } = await api.makeKey({ roles: ['viewer'], scopes: ['self:write'] });
    const change = () => api.call('PUT', '/v1/me/preferences', { apiKey, body: {} });
    const first = await change();
    expect(first.headers.get('ratelimit-policy')).toBe('"change";q=20;w=600, "change-hour";q=25;w=36000');
    expect(first.headers.get('ratelimit')).toMatch(/^"change";r=19;t=\d+$/);
    const answers = await Promise.all(Array.from({ length: 30 }, change));
    expect(statuses(answers)).toEqual({ 200: 19, 429: 11 });
    const refused = answers.find(({ status }) => status === 429)!;
    expect(refused.body).toMatchObject({ code: 'rate_limited', retryable: true });
    const seconds = Number(refused.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(30);
    // Another key of the same person has its own, and reads are counted apart.
    expect((await api.call('GET', '/v1/me/preferences', { apiKey })).status).toBe(200);
    expect(
      (await api.call('PUT', '/v1/me/preferences', { apiKey: (await api.makeKey({ roles: ['viewer'], scopes: ['self:write'] })).apiKey, body: {} })).status,
    ).toBe(200);
  });

  it('are met by nobody who works normally with the owner’s key or a session', async () => {
    const { headers } = await api.makeSession();
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, at) => (at % 2 === 0 ? api.call('GET', '/v1/me') : api.call('GET', '/v1/me', { apiKey: null, headers }))),
    );
    expect(statuses(answers)).toEqual({ 200: 300 });
  });

  it('bound how many streams are open at once', async () => {
    const { workspaceId } = api.owner;
    const runId = await api.rig.database.inWorkspace(workspaceId, (transaction) => insertRun(transaction, { workspaceId }));
    const { apiKey } = await api.makeKey({ roles: ['viewer'], scopes: ['runs:read'] });
    const hangUp = new AbortController();
    const open = () =>
      fetch(`${api.url}/v1/runs/${runId}/events`, { headers: { authorization: `Bearer ${apiKey}`, accept: 'text/event-stream' }, signal: hangUp.signal });
    for (let count = 0; count < 3; count += 1) expect((await open()).status).toBe(200);
    const fourth = await open();
    expect([fourth.status, fourth.headers.get('retry-after')]).toEqual([429, '5']);
    hangUp.abort();
    await expect
      .poll(async () => {
        const again = await fetch(`${api.url}/v1/runs/${runId}/events`, { headers: { authorization: `Bearer ${apiKey}`, accept: 'text/event-stream' } });
        await again.body?.cancel();
        return again.status;
      })
      .toBe(200);
  });
});

describe('the limits of an address', () => {
  const signIn = (headers: Record<string, string>) => api.call('POST', '/v1/auth/links', { apiKey: null, body: { token: 'x'.repeat(43) }, headers });

  it('bound sign-in, however it is tried, and each address apart', async () => {
    const answers: Answer[] = [];
    for (let count = 0; count < 12; count += 1) answers.push(await signIn(from('192.0.2.1')));
    expect(statuses(answers)).toEqual({ 401: 10, 429: 2 });
    expect((await api.call('POST', '/v1/auth/resets', { apiKey: null, body: {}, headers: from('192.0.2.1') })).status).toBe(429);
    expect((await signIn(from('192.0.2.2'))).status).toBe(401);
  });

  it('take a /64 of IPv6 for one, and IPv4 in IPv6 for what it is', async () => {
    const answers: Answer[] = [];
    for (let count = 0; count < 12; count += 1) answers.push(await signIn(from(`2001:db8:1:2:${count}::1`)));
    expect(statuses(answers)).toEqual({ 401: 10, 429: 2 });
    expect((await signIn(from('2001:db8:1:3::1'))).status).toBe(401);
    expect([addressOf({ ip: '::ffff:192.0.2.7' }), addressOf({ ip: '2001:db8:0:1::9' }), addressOf({ ip: undefined })]).toEqual([
      '192.0.2.7',
      '2001:db8:0:1',
      'unknown',
    ]);
  });

  it('bound guessing of credentials, and let the right one in again afterwards', async () => {
    const guess = () => api.call('GET', '/v1/me', { apiKey: 'guess', headers: from('192.0.2.9') });
    const answers: Answer[] = [];
    for (let count = 0; count < 33; count += 1) answers.push(await guess());
    expect(statuses(answers)).toEqual({ 401: 30, 429: 3 });
    expect((await api.call('GET', '/v1/me', { headers: from('192.0.2.10') })).status).toBe(200);
  });

  it('never touch who asks whether kOS is well', async () => {
    for (let count = 0; count < 50; count += 1)
      expect((await api.call('GET', '/healthz', { apiKey: null, headers: from('192.0.2.11') })).headers.get('ratelimit')).toBeNull();
  });
});

describe('replicas', () => {
  const limit: RateLimit = { name: 'shared', limit: 100, windowSeconds: 3_600 };

  it('agree to the last token, and write far less than once a request', async () => {
    let queries = 0;
    const counted: SystemDatabase = {
      ...api.rig.system,
      sql: new Proxy(api.rig.system.sql, {
        apply: (target, self, args) => {
          queries += 1;
          return Reflect.apply(target, self, args) as unknown;
        },
      }),
    };
    const replicas = Array.from({ length: 3 }, () => createRateLimiter({ system: counted, now: Date.now }));
    const verdicts = await Promise.all(Array.from({ length: 300 }, (_, at) => replicas[at % 3]!.take('key_1', [limit])));
    expect(verdicts.filter(({ allowed }) => allowed)).toHaveLength(100);
    expect(queries).toBeLessThan(30);
  });

  it('refill a bucket steadily, and no further than full', async () => {
    const quick: RateLimit = { name: 'quick', limit: 10, windowSeconds: 1 };
    const limiter = createRateLimiter({ system: api.rig.system, now: Date.now });
    const burst = async (): Promise<number> =>
      (await Promise.all(Array.from({ length: 40 }, () => limiter.take('key_2', [quick])))).filter(({ allowed }) => allowed).length;
    expect(await burst()).toBeGreaterThanOrEqual(10);
    await sleep(3_000);
    const second = await burst();
    expect(second).toBeGreaterThanOrEqual(10);
    expect(second).toBeLessThan(40);
  });

  it('forget buckets that are full again', async () => {
    await api.rig.system.sql`update kos.rate_buckets set updated_at = now() - interval '1 day'`;
    await pruneAccess(api.rig.system);
    const [{ count } = { count: -1 }] = await api.rig.system.sql<{ count: number }[]>`select count(*)::int as count from kos.rate_buckets`;
    expect(count).toBe(0);
  });
});

describe('a database that does not answer', () => {
  it('lets reads pass, and no sign-in', async () => {
    const limiter = { take: () => Promise.reject(new Error('away')), refusedForSeconds: () => 0 };
    const guard = createRateGuard({ limiter, table, log: pino({ level: 'silent' }) });
    const [request, response] = [{ ip: '192.0.2.1' } as never, {} as never];
    await expect(guard.admitPrincipal({ credentialId: 'key_1', via: 'api_key' } as never, response, 'read')).resolves.toBeUndefined();
    await expect(guard.admitAddress(request, response, 'public')).resolves.toBeUndefined();
    await expect(guard.admitAddress(request, response, 'sign-in')).rejects.toMatchObject({ code: 'rate_unknown', status: 503 });
  });
});
