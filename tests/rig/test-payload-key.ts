import { createFixedSealing, type Sealing } from '#services/sealing/sealing.ts';

/** Public on purpose: tests and stored histories are sealed under it, so that any checkout can replay them. Never an installation's key. */
export const testPayloadKey = Buffer.from('kOS public test key, not a secret'.padEnd(32, '.').slice(0, 32));

export const createTestPayloadSealing = (): Sealing => createFixedSealing({ purpose: 'payload', key: testPayloadKey });
