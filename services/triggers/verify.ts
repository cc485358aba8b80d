import { createHmac, createPublicKey, timingSafeEqual, verify } from 'node:crypto';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import type { WebhookScheme } from '#schemas/trigger.ts';

/** What proves a sender: secrets that are good now, and public keys. */
export interface Proofs {
  scheme: WebhookScheme;
  /** The newest first. */
  secrets: readonly string[];
  publicKeys: readonly string[];
}

/** As it came, byte by byte: what was parsed and written again has another signature. */
export interface Incoming {
  /** Names in lower case. */
  headers: Record<string, string>;
  text: string;
}

/** `key`: what equal deliveries are known by, where the scheme has it outside of the body. */
export type Verified = { ok: true; key: string | null } | { ok: false; reason: string };

const toleranceMs = 5 * 60_000;

const refused = (reason: string): Verified => ({ ok: false, reason });

/** Whether a delivery comes from who it says, now. Compared in constant time, against every secret that is good. */
export function verifyDelivery(proofs: Proofs, incoming: Incoming, nowMs: number): Verified {
  switch (proofs.scheme) {
    case 'standard':
      return verifyStandard(proofs, incoming, nowMs);
    case 'github':
      return verifyGithub(proofs, incoming);
    case 'stripe':
      return verifyStripe(proofs, incoming, nowMs);
    case 'slack':
      return verifySlack(proofs, incoming, nowMs);
    case 'bearer':
      return verifyBearer(proofs, incoming);
  }
}

function verifyStandard({ secrets, publicKeys }: Proofs, { headers, text }: Incoming, nowMs: number): Verified {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = headers;
  if (id === undefined || timestamp === undefined || signature === undefined) return refused('webhook-id, webhook-timestamp or webhook-signature is missing');
  const stale = staleness(timestamp, nowMs);
  if (stale !== null) return refused(stale);
  const isGood = secrets.some((secret) => isSignedBy(secret, text, { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature }));
  if (isGood || isSignedByKey(publicKeys, `${id}.${timestamp}.${text}`, signature)) return { ok: true, key: id };
  return refused('no signature in webhook-signature is right');
}

/** v1, by the specification's own library. It parses the body behind a right signature, and bodies need not be JSON. */
function isSignedBy(secret: string, text: string, headers: Record<string, string>): boolean {
  try {
    new Webhook(secret).verify(text, headers);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return true;
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
}

/** v1a: Ed25519 over id, timestamp and body. */
function isSignedByKey(publicKeys: readonly string[], message: string, header: string): boolean {
  const signatures = header.split(' ').flatMap((part) => (part.startsWith('v1a,') ? [Buffer.from(part.slice(4), 'base64')] : []));
  return publicKeys.some((key) =>
    signatures.some((signature) => isEd25519Signature(Buffer.from(key.replace(/^whpk_/, ''), 'base64'), Buffer.from(message), signature)),
  );
}

/** A DER prefix makes a public key of the bare 32 bytes (RFC 8410). */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

export function isEd25519Signature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  return verify(null, message, createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: 'der', type: 'spki' }), signature);
}

function verifyGithub({ secrets }: Proofs, { headers, text }: Incoming): Verified {
  const signature = headers['x-hub-signature-256'];
  if (signature === undefined) return refused('X-Hub-Signature-256 is missing');
  if (!secrets.some((secret) => isEqual(signature, `sha256=${hmac(secret, text)}`))) return refused('X-Hub-Signature-256 is not right');
  return { ok: true, key: headers['x-github-delivery'] ?? null };
}

/** https://docs.stripe.com/webhooks#verify-manually */
function verifyStripe({ secrets }: Proofs, { headers, text }: Incoming, nowMs: number): Verified {
  const header = headers['stripe-signature'];
  if (header === undefined) return refused('Stripe-Signature is missing');
  const parts = header.split(',').map((part) => part.trim().split('='));
  const timestamp = parts.find(([name]) => name === 't')?.[1] ?? '';
  const stale = staleness(timestamp, nowMs);
  if (stale !== null) return refused(stale);
  const signatures = parts.filter(([name]) => name === 'v1').map(([, value]) => value ?? '');
  const isGood = secrets.some((secret) => signatures.some((signature) => isEqual(signature, hmac(secret, `${timestamp}.${text}`))));
  return isGood ? { ok: true, key: null } : refused('no v1 in Stripe-Signature is right');
}

/** https://docs.slack.dev/authentication/verifying-requests-from-slack */
function verifySlack({ secrets }: Proofs, { headers, text }: Incoming, nowMs: number): Verified {
  const { 'x-slack-signature': signature, 'x-slack-request-timestamp': timestamp } = headers;
  if (signature === undefined || timestamp === undefined) return refused('X-Slack-Signature or X-Slack-Request-Timestamp is missing');
  const stale = staleness(timestamp, nowMs);
  if (stale !== null) return refused(stale);
  const isGood = secrets.some((secret) => isEqual(signature, `v0=${hmac(secret, `v0:${timestamp}:${text}`)}`));
  return isGood ? { ok: true, key: null } : refused('X-Slack-Signature is not right');
}

function verifyBearer({ secrets }: Proofs, { headers }: Incoming): Verified {
  const token = /^Bearer +(.+)$/i.exec(headers['authorization'] ?? '')?.[1];
  if (token === undefined) return refused('Authorization: Bearer is missing');
  if (!secrets.some((secret) => isEqual(token, secret))) return refused('the bearer token is not right');
  return { ok: true, key: headers['idempotency-key'] ?? null };
}

/** Why a timestamp (seconds since 1970) is not good; null: it is. */
function staleness(timestamp: string, nowMs: number): string | null {
  if (!/^\d{1,12}$/.test(timestamp)) return 'the timestamp is not a number of seconds';
  const ageMs = nowMs - Number(timestamp) * 1_000;
  if (ageMs > toleranceMs) return 'the timestamp is more than 5 minutes old: it was sent late, or is sent again';
  return ageMs < -toleranceMs ? 'the timestamp is more than 5 minutes in the future: a clock is wrong' : null;
}

const hmac = (secret: string, text: string): string => createHmac('sha256', secret).update(text, 'utf8').digest('hex');

/** In a time that does not tell how much of it is right. Both sides are hashed first, for lengths differ. */
function isEqual(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHmac('sha256', 'compare').update(text, 'utf8').digest();
  return timingSafeEqual(digest(left), digest(right));
}
