import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import type { WebhookScheme } from '#schemas/trigger.ts';
import { greeting, keyInBody, readPayload } from './payload.ts';
import { isEd25519Signature, type Proofs, verifyDelivery } from './verify.ts';

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');

describe('Ed25519', () => {
  // RFC 8032, 7.1: TEST 1, 2 and 3.
  it.each([
    [
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    ],
    [
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    ],
    [
      'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
      'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    ],
  ])('verifies the vector of its specification for the key %s, and nothing that differs by a bit', (key, message, signature) => {
    expect(isEd25519Signature(bytes(key), bytes(message), bytes(signature))).toBe(true);
    const changed = bytes(signature);
    changed[0] = (changed[0] ?? 0) ^ 1;
    expect(isEd25519Signature(bytes(key), bytes(message), changed)).toBe(false);
    expect(isEd25519Signature(bytes(key), bytes(`${message}00`), bytes(signature))).toBe(false);
    expect(isEd25519Signature(bytes(key).subarray(1), bytes(message), bytes(signature))).toBe(false);
  });
});

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const plain = 'a-secret-of-the-sender';
const pair = generateKeyPairSync('ed25519');
const publicKey = `whpk_${pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64')}`;
const hmac = (text: string): string => createHmac('sha256', plain).update(text).digest('hex');
const now = Date.now();
const secondsOf = (ageMs: number): number => Math.floor((now - ageMs) / 1_000);

type Sender = (text: string, ageMs: number) => Record<string, string>;
const senders: Record<WebhookScheme | 'v1a', Sender> = {
  standard: (text, ageMs) => ({
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(secondsOf(ageMs)),
    'webhook-signature': `v1,bm90IHRoaXMgb25l ${new Webhook(secret).sign('msg_1', new Date(secondsOf(ageMs) * 1_000), text)}`,
  }),
  v1a: (text, ageMs) => ({
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(secondsOf(ageMs)),
    'webhook-signature': `v1a,${sign(null, Buffer.from(`msg_1.${secondsOf(ageMs)}.${text}`), pair.privateKey).toString('base64')}`,
  }),
  github: (text) => ({ 'x-hub-signature-256': `sha256=${hmac(text)}`, 'x-github-delivery': 'd1' }),
  stripe: (text, ageMs) => ({ 'stripe-signature': `t=${secondsOf(ageMs)},v1=00,v1=${hmac(`${secondsOf(ageMs)}.${text}`)},v0=1` }),
  slack: (text, ageMs) => ({ 'x-slack-request-timestamp': String(secondsOf(ageMs)), 'x-slack-signature': `v0=${hmac(`v0:${secondsOf(ageMs)}:${text}`)}` }),
  bearer: () => ({ authorization: `Bearer ${plain}`, 'idempotency-key': 'k1' }),
};
const names = Object.keys(senders) as (keyof typeof senders)[];
const proofsOf = (name: keyof typeof senders): Proofs => ({
  scheme: name === 'v1a' ? 'standard' : name,
  secrets: name === 'v1a' ? [] : [name === 'standard' ? secret : plain],
  publicKeys: name === 'v1a' ? [publicKey] : [],
});
const timed = names.filter((name) => name !== 'github' && name !== 'bearer');

describe('a delivery', () => {
  it.each(names)('of %s is taken, and known by the id that the scheme gives it', (name) => {
    const text = '{"n": 1}';
    const key = { standard: 'msg_1', v1a: 'msg_1', github: 'd1', bearer: 'k1', stripe: null, slack: null }[name];
    expect(verifyDelivery(proofsOf(name), { headers: senders[name](text, 0), text }, now)).toEqual({ ok: true, key });
  });

  it.each(names.filter((name) => name !== 'bearer'))('of %s that was changed, or written again, is refused', (name) => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string({ minLength: 1 }), (value, more) => {
        const text = JSON.stringify(value, null, 1);
        const headers = senders[name](text, 0);
        expect(verifyDelivery(proofsOf(name), { headers, text: text + more }, now).ok).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  it.each(names)('of %s without its proof, or proven by another, is refused', (name) => {
    const text = '{}';
    const other: Proofs = { ...proofsOf(name), secrets: [`whsec_${Buffer.alloc(32, 9).toString('base64')}`], publicKeys: [] };
    expect(verifyDelivery(other, { headers: senders[name](text, 0), text }, now).ok).toBe(false);
    expect(verifyDelivery(proofsOf(name), { headers: {}, text }, now).ok).toBe(false);
  });

  it.each(timed)('of %s that is older or newer than 5 minutes is refused, with the reason', (name) => {
    const text = '{}';
    for (const [ageMs, reason] of [
      [301_000, 'old'],
      [-302_000, 'future'],
    ] as const)
      expect(verifyDelivery(proofsOf(name), { headers: senders[name](text, ageMs), text }, now)).toEqual({
        ok: false,
        reason: expect.stringContaining(reason),
      });
    expect(verifyDelivery(proofsOf(name), { headers: senders[name](text, 290_000), text }, now).ok).toBe(true);
  });

  it('is taken under either of two live secrets', () => {
    const text = '{}';
    const proofs = { ...proofsOf('github'), secrets: ['a-newer-secret-than-that', plain] };
    expect(verifyDelivery(proofs, { headers: senders.github(text, 0), text }, now).ok).toBe(true);
  });

  it('of GitHub and Slack is computed as their documents show', () => {
    const github = { scheme: 'github' as const, secrets: ["It's a Secret to Everybody"], publicKeys: [] };
    const headers = { 'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17' };
    expect(verifyDelivery(github, { headers, text: 'Hello, World!' }, now).ok).toBe(true);
    const text =
      'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
    const slack = { scheme: 'slack' as const, secrets: ['8f742231b10e8888abcd99yyyzzz85a5'], publicKeys: [] };
    const signed = { 'x-slack-request-timestamp': '1531420618', 'x-slack-signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503' };
    expect(verifyDelivery(slack, { headers: signed, text }, 1_531_420_618_000)).toEqual({ ok: true, key: null });
  });
});

describe('what was delivered', () => {
  it('is read as its type says, and what is no JSON stays text', () => {
    expect(readPayload('application/json', '{"a":1}')).toEqual({ a: 1 });
    expect(readPayload('application/x-www-form-urlencoded', 'command=%2Fgo&text=now')).toEqual({ command: '/go', text: 'now' });
    expect(readPayload('application/x-www-form-urlencoded', `payload=${encodeURIComponent('{"type":"block_actions"}')}`)).toEqual({
      payload: { type: 'block_actions' },
    });
    expect(readPayload('text/plain', 'no json')).toBe('no json');
    expect(readPayload('', '')).toBeNull();
  });

  it('is known by the ids that Stripe and Slack put into it', () => {
    expect([
      keyInBody('stripe', { id: 'evt_1' }),
      keyInBody('slack', { event_id: 'Ev1' }),
      keyInBody('slack', { command: '/go' }),
      keyInBody('github', { id: '1' }),
    ]).toEqual(['evt_1', 'Ev1', null, null]);
  });

  it('may be a greeting', () => {
    expect(greeting('github', { 'x-github-event': 'ping' }, {})).toEqual({ challenge: null });
    expect(greeting('slack', {}, { type: 'url_verification', challenge: 'c' })).toEqual({ challenge: 'c' });
    expect(greeting('slack', {}, { type: 'event_callback' })).toBeNull();
  });
});
