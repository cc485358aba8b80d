import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Artifact } from '#schemas/artifact.ts';
import type { LineForm } from '#schemas/plan.ts';
import { findLines, lineBytesAtMost, readLine } from './lines.ts';

const artifactOf = (content: Buffer): Artifact => ({
  id: 'art_1',
  runId: 'run_1',
  stepPath: 'make',
  name: 'orders.jsonl',
  mediaType: 'text/plain',
  sizeBytes: content.byteLength,
  sha256: createHash('sha256').update(content).digest('hex'),
  createdAt: '2031-01-01T00:00:00Z',
});

/** Content that arrives in pieces of so many bytes. */
function inPieces(content: Buffer, bytes: number): { open: () => Promise<{ stream: Readable; sizeBytes: number }> } {
  const pieces: Buffer[] = [];
  for (let at = 0; at < content.byteLength; at += bytes) pieces.push(content.subarray(at, at + bytes));
  return { open: async () => ({ stream: Readable.from(pieces), sizeBytes: content.byteLength }) };
}

async function linesOf(content: Buffer | string, form: LineForm = 'text', { pieces = 64_000, atMost = 100_000 } = {}): Promise<unknown[]> {
  const bytes = Buffer.from(content);
  const artifact = artifactOf(bytes);
  const places = await findLines(inPieces(bytes, pieces), 'ws_1', artifact, form, atMost);
  return places.map(({ at, bytes: length }, index) => readLine(bytes.subarray(at, at + length), form, { artifact, line: index + 1 }));
}

describe('the lines of an artifact', () => {
  it('are what was joined, however it arrives and whatever ends them', async () => {
    const line = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => !/[\n\r]/.test(text) && !text.startsWith('\u{feff}'));
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { minLength: 1, maxLength: 20 }),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        fc.integer({ min: 1, max: 9 }),
        async (lines, end, ended, pieces) => {
          const whole = lines.join(end) + (ended || lines.at(-1) === '' ? end : '');
          expect(await linesOf(whole, 'text', { pieces })).toEqual(lines);
        },
      ),
    );
  });

  it('of nothing are none; of one line break, one empty line', async () => {
    expect(await linesOf('')).toEqual([]);
    expect(await linesOf('\n')).toEqual(['']);
    expect(await linesOf('a\n\nb')).toEqual(['a', '', 'b']);
  });

  it('begin behind a byte order mark', async () => {
    expect(await linesOf('\u{feff}{"n":1}\n{"n":2}\n', 'json')).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it('as JSON are the values that are written there', async () => {
    expect(await linesOf('1\n"two"\n {"three": [3]} \nnull', 'json')).toEqual([1, 'two', { three: [3] }, null]);
  });

  it('that are no JSON are refused with their number', async () => {
    await expect(linesOf('{"n":1}\n{n:2}\n', 'json')).rejects.toMatchObject({
      code: 'line_not_json',
      message: expect.stringMatching(/^Line 2 of the artifact art_1 is not JSON: /) as unknown,
    });
    await expect(linesOf('1\n\n2', 'json')).rejects.toMatchObject({ code: 'line_not_json', message: 'Line 2 of the artifact art_1 is not JSON: it is empty.' });
  });

  it('that are too long, too many or no text are refused', async () => {
    const longest = 'x'.repeat(lineBytesAtMost);
    expect(await linesOf(`${longest}\r\n${longest}`)).toEqual([longest, longest]);
    await expect(linesOf(`a\n${longest}y\n`)).rejects.toMatchObject({
      code: 'line_too_long',
      message: 'Line 2 of the artifact art_1 has more than 1000000 bytes.',
    });
    await expect(linesOf('1\n2\n3', 'text', { atMost: 2 })).rejects.toMatchObject({ code: 'for_each_too_large' });
    await expect(linesOf(Buffer.from([0x61, 0x0a, 0xff, 0x0a]))).rejects.toMatchObject({
      code: 'line_not_text',
      message: 'Line 2 of the artifact art_1 is not UTF-8 text.',
    });
  });

  it('of content that is not what was written are refused', async () => {
    const artifact = artifactOf(Buffer.from('what was written\n'));
    await expect(findLines(inPieces(Buffer.from('something else\n'), 5), 'ws_1', artifact, 'text', 10)).rejects.toMatchObject({
      code: 'artifact_content_damaged',
    });
  });
});
