import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { clientDigest, clientDigestFile } from '../typescript-client.ts';

it('is made of the API as it is; else run node scripts/generate-typescript-client.ts', () => {
  expect(readFileSync(clientDigestFile, 'utf8')).toBe(clientDigest());
});
