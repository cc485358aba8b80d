import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { makeTestApi, type TestApi } from '#tests/rig/test-api.ts';

let api: TestApi;

beforeAll(async () => {
  api = await makeTestApi();
});

afterAll(() => api.close());

/** Somebody who reads, by whatever they sign in with. */
interface Reader {
  headers: Record<string, string>;
  /** Ends their right to read, as the API itself is asked to. */
  lose(): Promise<void>;
}

const expectDone = async (answer: Promise<{ status: number; text: string }>): Promise<void> => {
  const { status, text } = await answer;
  expect([status < 300, text]).toEqual([true, expect.any(String)]);
};

const bearer = (apiKey: string): Record<string, string> => ({ authorization: `Bearer ${apiKey}` });

/** What people edit is changed in the version that was read. */
async function change(method: 'PATCH' | 'DELETE', path: string, body?: object): Promise<void> {
  const etag = (await api.call('GET', path)).headers.get('etag');
  await expectDone(api.call(method, path, { ...(body === undefined ? {} : { body }), ...(etag === null ? {} : { headers: { 'if-match': etag } }) }));
}

const losses: Record<string, () => Promise<Reader>> = {
  'its key is revoked': async () => {
    const { apiKey, credentialId } = await api.makeKey({ roles: ['viewer'] });
    return { headers: bearer(apiKey), lose: () => change('DELETE', `/v1/keys/${credentialId}`) };
  },
  'its member is removed': async () => {
    const { apiKey, principalId } = await api.makeKey({ roles: ['viewer'] });
    return { headers: bearer(apiKey), lose: () => change('DELETE', `/v1/members/${principalId}`) };
  },
  'its member is disabled': async () => {
    const { apiKey, principalId } = await api.makeKey({ roles: ['viewer'] });
    return { headers: bearer(apiKey), lose: () => change('PATCH', `/v1/members/${principalId}`, { disabled: true }) };
  },
  'its person is disabled everywhere': async () => {
    const { principalId, headers } = await api.makeSession();
    return { headers: { ...headers }, lose: () => change('PATCH', `/v1/people/${principalId}`, { disabled: true }) };
  },
  'its session is ended by its person': async () => {
    const { sessionId, headers } = await api.makeSession();
    return { headers: { ...headers }, lose: () => expectDone(api.call('DELETE', `/v1/me/sessions/${sessionId}`, { apiKey: null, headers: { ...headers } })) };
  },
  'its session is signed out': async () => {
    const { headers } = await api.makeSession();
    return { headers: { ...headers }, lose: () => expectDone(api.call('POST', '/v1/auth/logout', { apiKey: null, headers: { ...headers }, body: {} })) };
  },
  'its session runs out': async () => {
    const { sessionId, headers } = await api.makeSession();
    const { sql } = api.rig.system;
    const lose = async (): Promise<void> => void (await sql`update kos.sessions set expires_at = now() - interval '1 second' where id = ${sessionId}`);
    return { headers: { ...headers }, lose };
  },
  'its key runs out': async () => {
    const { apiKey, credentialId } = await api.makeKey({ roles: ['viewer'] });
    const { sql } = api.rig.system;
    const lose = async (): Promise<void> => void (await sql`update kos.credentials set expires_at = now() - interval '1 second' where id = ${credentialId}`);
    return { headers: bearer(apiKey), lose };
  },
};

/** Resolves when the server ends it. */
type Open = (headers: Record<string, string>) => Promise<{ ended: Promise<void> }>;

const ways: Record<string, Open> = {
  'a stream': async (headers) => {
    const response = await fetch(`${api.url}/v1/events`, { headers: { ...headers, accept: 'text/event-stream' } });
    expect(response.status).toBe(200);
    const read = async (): Promise<void> => {
      for await (const _chunk of response.body!) continue;
    };
    return { ended: read() };
  },
  'a WebSocket': async (headers) => {
    const socket = new WebSocket(`${api.url.replace('http', 'ws')}/v1/ws`, { headers });
    const closed = once(socket, 'close') as Promise<[number, Buffer]>;
    await once(socket, 'open');
    return {
      ended: closed.then(([code, reason]) => {
        expect([code, reason.toString()]).toEqual([1008, 'Your right to these events has ended.']);
      }),
    };
  },
};

const cases = Object.keys(ways).flatMap((way) => Object.keys(losses).map((loss) => [way, loss] as const));

describe.concurrent('what is open ends within 5 s', () => {
  it.for(cases)('%s, once %s', { timeout: 30_000 }, async ([way, loss]) => {
    const { headers, lose } = await losses[loss]!();
    const { ended } = await ways[way]!(headers);
    let isOpen = true;
    const closed = ended.then(() => {
      isOpen = false;
    });
    // Rights are looked at meanwhile, and found.
    await sleep(2_500);
    expect(isOpen).toBe(true);
    await lose();
    const lostAt = performance.now();
    await closed;
    expect(performance.now() - lostAt).toBeLessThan(5_000);
  });
});
