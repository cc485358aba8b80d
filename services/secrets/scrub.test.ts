import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createScrubber } from '#services/secrets/scrub.ts';

const shown = 'secret://token';
const scrub = (value: string, text: string): string => createScrubber([{ value, shown }]).text(text);
const hex = (char: string): string => Buffer.from(char).toString('hex');
const upper = (char: string): string => hex(char).toUpperCase();
const each = (value: string, write: (char: string) => string): string => Array.from(value, write).join('');
const percent = (char: string): string => hex(char).replaceAll(/../g, '%$&');
const codeOf = (char: string): string => (char.codePointAt(0) ?? 0).toString(16).padStart(4, '0');
const needsEscape = (char: string): boolean => !/[A-Za-z0-9]/.test(char);

/** Ways to write a value out of which nothing but the value is left. */
const writings: Record<string, (value: string) => string> = {
  'as it is': (value) => value,
  'lower case': (value) => value.toLowerCase(),
  'UTF-8 read as Latin-1': (value) => Buffer.from(value).toString('latin1'),
  'Latin-1 read as UTF-8': (value) => Buffer.from(value, 'latin1').toString('utf8'),
  'percent escapes where needed': (value) => encodeURIComponent(value),
  'percent escapes of a form': (value) => new URLSearchParams({ a: value }).toString().slice(2),
  'percent escapes, lower case': (value) => each(value, (char) => (needsEscape(char) ? percent(char) : char)),
  'percent escapes of everything': (value) => each(value, (char) => percent(char).toUpperCase()),
  'percent escapes of Latin-1': (value) => each(value, (char) => `%${Buffer.from(char, 'latin1').toString('hex')}`),
  JSON: (value) => JSON.stringify(value).slice(1, -1),
  'JSON with escaped slashes': (value) => JSON.stringify(value).slice(1, -1).replaceAll('/', '\\/'),
  'JSON with codes': (value) => each(value, (char) => `\\u${codeOf(char)}`),
  'JSON with codes in upper case': (value) => each(value, (char) => (needsEscape(char) ? `\\u${codeOf(char).toUpperCase()}` : char)),
  'hex in lower case': (value) => each(value, hex),
  'hex in upper case': (value) => each(value, upper),
  'hex in both cases': (value) => Array.from(value, (char, index) => (index % 2 === 0 ? hex(char) : upper(char))).join(''),
  base64: (value) => Buffer.from(value).toString('base64'),
  base64url: (value) => Buffer.from(value).toString('base64url'),
  'base64 of Latin-1': (value) => Buffer.from(value, 'latin1').toString('base64'),
  'base64 in JSON': (value) => Buffer.from(value).toString('base64').replaceAll('/', '\\/'),
  'base64 in a URL': (value) => encodeURIComponent(Buffer.from(value).toString('base64').replace(/=+$/, '')),
  'entities by number': (value) => each(value, (char) => `&#${char.codePointAt(0)};`),
  'entities by hexadecimal number': (value) => each(value, (char) => (needsEscape(char) ? `&#x${codeOf(char).slice(2).toUpperCase()};` : char)),
  'entities by name': (value) => value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;').replaceAll("'", '&#039;'),
};
const kinds = Object.entries(writings);

/** `~` stands in no spelling and in no secret below. */
const filler = fc.nat({ max: 20 }).map((length) => '~'.repeat(length));
const secretChar = fc.integer({ min: 0x20, max: 0xff }).filter((code) => code !== 0x7e && (code < 0x7f || code > 0x9f));
const secret = fc.array(secretChar, { minLength: 8, maxLength: 24 }).map((codes) => String.fromCharCode(...codes));
const withoutHandles = (text: string): string => text.replaceAll(shown, '');

describe('a spelling is replaced', () => {
  it.each(kinds)('%s', (_kind, write) => {
    for (const value of ['tok-en/12+3=ABC', 's3cr3t/+"ä=\\<&>\'% x', 'ÿþ/?~ÿþ>>>']) expect(scrub(value, `<${write(value)}>`)).toMatch(/^<secret:\/\/token>$/);
  });

  it.each(kinds)('%s, whatever the secret', (_kind, write) => {
    fc.assert(
      fc.property(secret, filler, filler, (value, before, after) => {
        expect(scrub(value, `${before}${write(value)}${after}`)).toBe(`${before}${shown}${after}`);
      }),
    );
  });

  it('also when two secrets overlap, or one begins with the other', () => {
    const both = createScrubber([
      { value: 'abcdefgh', shown: 'secret://a' },
      { value: 'efghijkl', shown: 'secret://b' },
      { value: 'abcdefgh-long', shown: 'secret://c' },
    ]);
    expect(both.text('<abcdefghijkl>')).toBe('<secret://a>');
    expect(both.text('<abcdefgh-long>')).toBe('<secret://c>');
    expect(both.text('<abcdefgh><efghijkl>')).toBe('<secret://a><secret://b>');
  });
});

/** All pieces of four characters. */
const pieces = (text: string): string[] => Array.from({ length: Math.max(0, text.length - 3) }, (_, index) => text.slice(index, index + 4));

describe('base64 of the secret among other things', () => {
  const around = fc.constantFrom('', 'u', 'u:', 'me:', 'user:', '\0\0\0\0');

  it('leaves none of it, at every alignment, cut or not', () => {
    fc.assert(
      fc.property(
        secret,
        around,
        around,
        filler,
        fc.constantFrom<'base64' | 'base64url'>('base64', 'base64url'),
        fc.nat(),
        (value, before, after, fill, alphabet, cut) => {
          const [start, end] = [Buffer.byteLength(before), Buffer.byteLength(before + value)];
          const coded = Buffer.from(before + value + after).toString(alphabet);
          const inner = coded.slice(Math.ceil((start * 8) / 6), Math.floor((end * 8) / 6));
          const text = `${fill}${coded}${fill}`;
          const scrubber = createScrubber([{ value, shown }]);
          const body = Buffer.from(text.slice(0, cut % text.length));
          for (const left of [scrubber.text(text), scrubber.cutBody(body).toString()]) {
            for (const piece of pieces(inner)) expect(withoutHandles(left)).not.toContain(piece);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('leaves what stands around', () => {
    expect(scrub('tok-en/12+3=ABC', `Basic ${Buffer.from('user:tok-en/12+3=ABC').toString('base64')}.`)).toBe('Basic dXNlcjsecret://token.');
  });
});

describe('a body that was cut', () => {
  it.each(kinds)('inside %s shows nothing of it, wherever the cut falls', (_kind, write) => {
    fc.assert(
      fc.property(secret, filler, filler, fc.nat(), (value, before, after, cut) => {
        const whole = Buffer.from(`${before}${write(value)}${after}`);
        const left = createScrubber([{ value, shown }]).cutBody(whole.subarray(0, cut % (whole.length + 1)));
        expect(withoutHandles(left.toString('latin1'))).toMatch(/^~*$/);
      }),
    );
  });

  it('keeps what is no beginning of a secret', () => {
    expect(
      createScrubber([{ value: 'xyzxyzxyz', shown }])
        .cutBody(Buffer.from('a whole answer, nearly xy'))
        .toString(),
    ).toBe('a whole answer, nearly ');
    expect(
      createScrubber([{ value: 'xyzxyzxyz', shown }])
        .cutBody(Buffer.from([0xff, 0xc3]))
        .toString('latin1'),
    ).toBe('\xff\xc3');
  });
});

it('takes its time from the length of the text, not from its likeness to the secret', () => {
  const text = '%25\\\\&amp;'.repeat(50_000);
  const startedMs = performance.now();
  expect(scrub(`${'%25\\\\&amp;'.repeat(6)}!`, text)).toBe(text);
  expect(performance.now() - startedMs).toBeLessThan(5_000);
});
