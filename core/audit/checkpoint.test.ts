import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { openCheckpoint, signCheckpoint, type Checkpoint } from './checkpoint.ts';
import { encodeAuditEntry, hashAuditEntry, type AuditEntry } from './entry.ts';
import { decodeVerifier, encodeVerifier, openNote, type NoteSigner } from './signed-note.ts';

function newSigner(name: string): NoteSigner {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const { x } = publicKey.export({ format: 'jwk' });
  return { name, publicKey: Buffer.from(x!, 'base64url'), sign: (message) => sign(null, message, privateKey) };
}

const signer = newSigner('kos-1');
const checkpoint: Checkpoint = { origin: 'kos/installation-1', size: 42, root: Buffer.alloc(32, 7) };

describe('signed notes', () => {
  test('open the example of the Go implementation', () => {
    const verifier = decodeVerifier('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')!;
    const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const note = `${text}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`;
    expect(openNote(note, verifier)).toBe(text);
    expect(openNote(note.replace('cryptography', 'cryptographY'), verifier)).toBeNull();
  });

  test('verifiers survive being written down, and a wrong hash is noticed', () => {
    expect(decodeVerifier(encodeVerifier(signer))).toEqual({ name: 'kos-1', publicKey: signer.publicKey });
    expect(decodeVerifier(encodeVerifier(signer).replace('kos-1', 'kos-2'))).toBeNull();
    expect(decodeVerifier('nothing')).toBeNull();
  });
});

describe('checkpoints', () => {
  test('open with the key of their signer alone, and only for their own log', () => {
    const note = signCheckpoint(checkpoint, signer);
    expect(openCheckpoint(note, checkpoint.origin, signer)).toEqual(checkpoint);
    expect(openCheckpoint(note, 'kos/installation-2', signer)).toBeNull();
    expect(openCheckpoint(note, checkpoint.origin, newSigner('kos-1'))).toBeNull();
    expect(openCheckpoint(note, checkpoint.origin, newSigner('kos-2'))).toBeNull();
  });

  test('every changed line is noticed', () => {
    const note = signCheckpoint(checkpoint, signer);
    expect(openCheckpoint(note.replace('\n42\n', '\n41\n'), checkpoint.origin, signer)).toBeNull();
    expect(openCheckpoint(note.replace('BwcH', 'BwcI'), checkpoint.origin, signer)).toBeNull();
    expect(openCheckpoint(note.slice(0, -3), checkpoint.origin, signer)).toBeNull();
    expect(openCheckpoint('', checkpoint.origin, signer)).toBeNull();
  });

  test('carry further signatures of witnesses', () => {
    const witness = newSigner('witness');
    const note = signCheckpoint(checkpoint, signer);
    const both = note + signCheckpoint(checkpoint, witness).split('\n\n')[1];
    expect(openCheckpoint(both, checkpoint.origin, signer)).toEqual(checkpoint);
    expect(openCheckpoint(both, checkpoint.origin, witness)).toEqual(checkpoint);
  });
});

describe('entries', () => {
  const entry: AuditEntry = {
    id: 'aud_1',
    workspaceId: 'ws_1',
    at: '2026-01-31T12:00:00.000Z',
    actor: 'prn_1',
    action: 'run.cancel',
    subject: 'run_1',
    data: { b: 1, a: 'ü' },
  };

  test('are encoded by RFC 8785, whatever the order of their members', () => {
    const text =
      '{"action":"run.cancel","actor":"prn_1","at":"2026-01-31T12:00:00.000Z","data":{"a":"ü","b":1},"id":"aud_1","subject":"run_1","v":1,"workspaceId":"ws_1"}';
    expect(Buffer.from(encodeAuditEntry(entry)).toString()).toBe(text);
    expect(hashAuditEntry({ ...entry, data: { a: 'ü', b: 1 } })).toEqual(hashAuditEntry(entry));
  });

  test('every field counts', () => {
    const fields = Object.keys(entry) as (keyof AuditEntry)[];
    for (const field of fields) {
      const value = field === 'data' ? { b: 2, a: 'ü' } : 'other';
      expect(hashAuditEntry({ ...entry, [field]: value }), field).not.toEqual(hashAuditEntry(entry));
    }
  });
});
