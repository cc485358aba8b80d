import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { post } from '#services/outgoing/post.ts';
import { literalTricks, nameTricks } from '#tests/rig/address-tricks.ts';
import { startReceiver } from '#tests/rig/receiver.ts';
import { type Answer, makeTestApi, type TestApi } from '#tests/rig/test-api.ts';
import { startTrap, type Trap } from '#tests/rig/trap.ts';

let api: TestApi;
let trap: Trap;
beforeAll(async () => {
  [api, trap] = await Promise.all([makeTestApi(), startTrap()]);
});
afterAll(async () => {
  await api.close();
  await trap.close();
});

const tricks = [...literalTricks, ...nameTricks];
const bodies = {
  webhook: (url: string, name: string) => ({ name, url, events: ['*'] }),
  channel: (url: string, name: string) => ({ name, url, kind: 'url' }),
};
/** Made, and told something: refused when it is made, or when it is to be told. */
async function attempt(kind: keyof typeof bodies, url: string, name: string): Promise<Answer> {
  const made = await api.call('POST', `/v1/${kind}s`, { body: bodies[kind](url, name) });
  return made.status === 201 ? await api.call('POST', `/v1/${kind}s/${made.body.id}/test`) : made;
}
const allow = async (egress: string[]): Promise<void> => {
  const { headers } = await api.call('GET', '/v1/settings');
  expect((await api.call('PATCH', '/v1/settings', { body: { egress }, headers: { 'if-match': headers.get('etag') ?? '' } })).status).toBe(200);
};

describe.each(['webhook', 'channel'] as const)('a %s', (kind) => {
  it('reaches nothing of this machine and its network that is not allowed, however its address is written', async () => {
    expect(new Set(tricks).size).toBeGreaterThanOrEqual(80);
    for (const [index, host] of tricks.entries()) {
      const answer = await attempt(kind, `http://${host}:${trap.port}/`, `trick-${index}`);
      if (answer.status === 200) expect(answer.body, host).toMatchObject({ delivered: false, status: null });
      else expect([host, answer.status, answer.body.errors.map(({ pointer }) => pointer)]).toEqual([host, 400, ['/url']]);
    }
    expect(trap.caught).toBe(0);
  });

  it('is not led there by one that is allowed', async () => {
    const receiver = await startReceiver();
    receiver.answer('/', (response) => response.writeHead(307, { location: `http://127.0.0.1:${trap.port}/` }).end());
    await allow([receiver.host]);
    expect((await attempt(kind, receiver.url('/'), 'led')).body).toMatchObject({ delivered: false, status: 307 });
    expect([receiver.to('/').length, trap.caught]).toEqual([1, 0]);
    await allow([]);
    receiver.close();
  });
});

it('a name that is allowed is asked for once, and leads to nothing that is not', async () => {
  const allowed = `rebind.example.com:${trap.port}`;
  const resolve = async () => [{ address: '127.0.0.1', family: 4 as const }];
  const policy = { allow: [allowed], forbiddenPorts: () => [], resolve };
  const { attempt: tried } = await post({ url: `http://${allowed}/`, headers: {}, body: '{}' }, policy, new AbortController().signal);
  expect(tried).toMatchObject({ status: null, error: expect.stringContaining('127.0.0.1') as string, fix: `kai settings add egress 127.0.0.1:${trap.port}` });
  expect(trap.caught).toBe(0);
});
