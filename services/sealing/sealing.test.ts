import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createSealing } from './sealing.ts';

const plain = Buffer.from('the quick brown fox');
const run = promisify(execFile);
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kos-sealing-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const codeOf = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return 'did not throw';
};

describe('sealing and opening', () => {
  test('what was sealed opens with the same associated data, whatever both are', async () => {
    const sealing = await createSealing({ directory, purpose: 'payload' });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5_000 }), fc.string(), (bytes, associatedData) => {
        expect(Buffer.from(sealing.open(sealing.seal(bytes, associatedData), associatedData))).toEqual(Buffer.from(bytes));
      }),
      { numRuns: 50 },
    );
  });

  test('every changed bit is refused, in the nonce, the text, the tag and the associated data', async () => {
    const sealing = await createSealing({ directory, purpose: 'payload' });
    const sealed = sealing.seal(plain, 'place');
    expect(codeOf(() => sealing.open(sealed, 'another place'))).toBe('sealed_data_refused');
    for (let at = 0; at < sealed.length; at++) {
      const changed = Uint8Array.from(sealed);
      changed[at] = changed[at]! ^ 1;
      expect(['sealed_data_refused', 'sealing_key_unknown'], `byte ${at}`).toContain(codeOf(() => sealing.open(changed, 'place')));
    }
    for (let length = 0; length < sealed.length; length++) {
      expect(['sealed_data_refused', 'sealing_key_unknown'], `length ${length}`).toContain(codeOf(() => sealing.open(sealed.subarray(0, length), 'place')));
    }
  });

  test('two seals of one text differ', async () => {
    const sealing = await createSealing({ directory, purpose: 'payload' });
    expect(sealing.seal(plain, '')).not.toEqual(sealing.seal(plain, ''));
  });

  test('purposes have separate keys', async () => {
    const payloads = await createSealing({ directory, purpose: 'payload' });
    const secrets = await createSealing({ directory, purpose: 'secret' });
    expect(codeOf(() => secrets.open(payloads.seal(plain, 'a'), 'a'))).toBe('sealing_key_unknown');
    expect(readdirSync(directory).sort()).toEqual(['payload-1.key', 'secret-1.key']);
  });
});

describe('rotation', () => {
  test('new seals use the new key, old ones stay readable, also after a start', async () => {
    const sealing = await createSealing({ directory, purpose: 'secret' });
    const before = sealing.seal(plain, 'a');
    const keyId = await sealing.rotate();
    const after = sealing.seal(plain, 'a');
    expect(sealing.keyIds()).toHaveLength(2);
    expect(sealing.sealParts(plain, 'a').keyId).toBe(keyId);
    const restarted = await createSealing({ directory, purpose: 'secret' });
    for (const sealed of [before, after]) expect(Buffer.from(restarted.open(sealed, 'a'))).toEqual(plain);
  });

  test('a process reads what another sealed after rotating, and goes on with the new key itself', async () => {
    const first = await createSealing({ directory, purpose: 'payload' });
    const second = await createSealing({ directory, purpose: 'payload' });
    const keyId = await second.rotate();
    expect(Buffer.from(first.open(second.seal(plain, 'a'), 'a'))).toEqual(plain);
    expect(first.sealParts(plain, 'a').keyId).toBe(keyId);
  });

  test('a key of another installation is unknown, not merely wrong', async () => {
    const sealing = await createSealing({ directory, purpose: 'payload' });
    const sealed = sealing.seal(plain, 'a');
    rmSync(join(directory, 'payload-1.key'));
    const other = await createSealing({ directory, purpose: 'payload' });
    expect(codeOf(() => other.open(sealed, 'a'))).toBe('sealing_key_unknown');
  });
});

describe('key files', () => {
  test('are private and leave no drafts', async () => {
    await createSealing({ directory, purpose: 'payload' });
    expect(statSync(join(directory, 'payload-1.key')).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['payload-1.key']);
  });

  test('that others may read are refused with the command that mends them', async () => {
    await createSealing({ directory, purpose: 'payload' });
    const path = join(directory, 'payload-1.key');
    chmodSync(path, 0o640);
    await expect(createSealing({ directory, purpose: 'payload' })).rejects.toMatchObject({ code: 'key_file_exposed', fix: `chmod 600 ${path}` });
  });

  test('in a folder that others may write are refused', async () => {
    chmodSync(directory, 0o777);
    await expect(createSealing({ directory, purpose: 'payload' })).rejects.toMatchObject({ code: 'key_file_exposed' });
  });

  test('that hold no key are refused, never replaced', async () => {
    writeFileSync(join(directory, 'payload-1.key'), 'short', { mode: 0o600 });
    await expect(createSealing({ directory, purpose: 'payload' })).rejects.toMatchObject({ code: 'key_file_damaged' });
  });

  test('processes that start at once agree on one key', async () => {
    const module = new URL('./sealing.ts', import.meta.url).href;
    const script = `const { createSealing } = await import(${JSON.stringify(module)});
      console.log((await createSealing({ directory: ${JSON.stringify(directory)}, purpose: 'payload' })).keyIds().join());`;
    const starts = Array.from({ length: 4 }, () =>
      run(process.execPath, ['--input-type=module', '-e', script], { cwd: fileURLToPath(new URL('../..', import.meta.url)) }),
    );
    const answers = (await Promise.all(starts)).map(({ stdout }) => stdout.trim());
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toMatch(/^1-[0-9a-f]{12}$/);
  });
});
