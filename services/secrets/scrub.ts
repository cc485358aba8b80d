/** A secret, and what stands in its place. */
export interface Hidden {
  value: string;
  shown: string;
}

/** Keeps secrets out of what others answer, in each spelling that documentation/tools.md names. */
export interface Scrubber {
  text(text: string): string;
  /** Of a body that was cut: what may be the beginning of a spelling at its end goes, too. */
  cutBody(body: Buffer): Buffer;
}

/** One way to write a character: exactly so, or (escapes, hex) in either case; then it stands here in lower case. */
interface Writing {
  written: string;
  anyCase: boolean;
}
type Unit = readonly Writing[];

interface Spelling {
  shown: string;
  units: readonly Unit[];
  /** In base64, the character beside may hold some of the secret's bits. */
  borders: { left: boolean; right: boolean };
}

interface Hit {
  from: number;
  to: number;
  /** Null when the text ends before the spelling does. */
  shown: string | null;
}

const exactly = (written: string): Writing => ({ written, anyCase: false });
const inAnyCase = (written: string): Writing => ({ written, anyCase: true });

const hexOf = (bytes: Buffer, before = ''): string => [...bytes].map((byte) => before + byte.toString(16).padStart(2, '0')).join('');

const isLatin1 = (text: string): boolean => /^[\0-\xff]*$/.test(text);

/** The bytes that a text becomes: UTF-8, and Latin-1 (which is how headers are sent). */
function bytesOf(text: string): Buffer[] {
  const utf8 = Buffer.from(text, 'utf8');
  const latin1 = Buffer.from(text, 'latin1');
  return isLatin1(text) && !latin1.equals(utf8) ? [utf8, latin1] : [utf8];
}

const percentEscapes = (char: string): Writing[] => [...bytesOf(char).map((bytes) => inAnyCase(hexOf(bytes, '%'))), ...(char === ' ' ? [exactly('+')] : [])];

function jsonEscapes(char: string): Writing[] {
  const units = Array.from({ length: char.length }, (_, index) => `\\u${char.charCodeAt(index).toString(16).padStart(4, '0')}`);
  const short = char === '\t' ? ['\\t'] : ['"', '\\', '/'].includes(char) ? [`\\${char}`] : [];
  return [inAnyCase(units.join('')), ...short.map(exactly)];
}

const namedEntities: Readonly<Record<string, string>> = { '&': 'amp', '<': 'lt', '>': 'gt', '"': 'quot', "'": 'apos' };

function htmlEntities(char: string): Writing[] {
  const code = char.codePointAt(0) ?? 0;
  const padded = ['', '0', '00'].flatMap((zeros) => [`&#${zeros}${code};`, `&#x${zeros}${code.toString(16)};`]);
  const name = namedEntities[char];
  return [...padded, ...(name === undefined ? [] : [`&${name};`])].map(inAnyCase);
}

/** How a text is written where some or all of its characters are escaped; only `mark`, which begins an escape, never stands for itself. */
const escapings: { mark: string; escapes: (char: string) => Writing[] }[] = [
  { mark: '', escapes: () => [] },
  { mark: '%', escapes: percentEscapes },
  { mark: '\\', escapes: jsonEscapes },
  { mark: '&', escapes: htmlEntities },
];

function textUnits(text: string): Unit[][] {
  const chars = Array.from(text, (char) => char);
  return escapings.map(({ mark, escapes }) => {
    const units = new Map([...new Set(chars)].map((char) => [char, [...(char === mark ? [] : [exactly(char)]), ...escapes(char)]]));
    return chars.map((char) => units.get(char) ?? []);
  });
}

/** The value as it is, in lower case (names of hosts and headers), and read in the wrong one of UTF-8 and Latin-1; bytes are searched as Latin-1, too. */
function readingsOf(value: string): string[] {
  const misread = isLatin1(value) ? [Buffer.from(value, 'latin1').toString('utf8')] : [];
  const readings = [value, value.toLowerCase(), ...misread];
  const asBytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  return [...new Set(readings.flatMap((reading) => [reading, asBytes(reading), asBytes(asBytes(reading))]))];
}

function base64Unit(char: string): Unit {
  if (char !== '+' && char !== '/') return [exactly(char)];
  return [char, char === '+' ? '-' : '_'].map(exactly).concat(percentEscapes(char), jsonEscapes(char), htmlEntities(char));
}

/** Shorter parts of base64 stand in other texts by chance. */
const leastBase64 = 4;

/** base64 after so many bytes of something else (`user:`): only the characters that hold nothing but bits of the secret are always the same. */
function base64Spelling(bytes: Buffer, bytesBefore: number, shown: string): Spelling | null {
  const coded = Buffer.concat([Buffer.alloc(bytesBefore), bytes])
    .toString('base64')
    .replace(/=+$/, '');
  const bits = (bytesBefore + bytes.length) * 8;
  const inner = coded.slice(Math.ceil((bytesBefore * 8) / 6), Math.floor(bits / 6));
  if (inner.length >= leastBase64) return { shown, units: Array.from(inner, base64Unit), borders: { left: bytesBefore > 0, right: bits % 6 > 0 } };
  return bytesBefore > 0 ? null : { shown, units: Array.from(coded, base64Unit), borders: { left: false, right: false } };
}

function spellingsOf({ value, shown }: Hidden): Spelling[] {
  const borders = { left: false, right: false };
  const texts = readingsOf(value).flatMap((reading) => textUnits(reading).map((units) => ({ shown, units, borders })));
  const hex = bytesOf(value).map((bytes) => ({ shown, units: [...bytes].map((byte) => [inAnyCase(hexOf(Buffer.of(byte)))]), borders }));
  const base64 = bytesOf(value).flatMap((bytes) => [0, 1, 2].map((before) => base64Spelling(bytes, before, shown)));
  return [...texts, ...hex, ...base64.filter((spelling) => spelling !== null)];
}

/** Of one character or spelling that begins at a place: where it ends, or one of these. */
const absent = -1;
const cutShort = Number.POSITIVE_INFINITY;

function endOfUnit(unit: Unit, text: string, from: number): number {
  let end = absent;
  for (const { written, anyCase } of unit) {
    const to = from + written.length;
    const found = anyCase ? text.slice(from, to).toLowerCase() : text.slice(from, to);
    if (found === written) return to;
    if (to > text.length && written.startsWith(found)) end = cutShort;
  }
  return end;
}

/** Of the writings of a character none begins another, so there is one way at most to read a spelling. */
function endOfSpelling(units: readonly Unit[], text: string, from: number): number {
  let at = from;
  for (const unit of units) {
    at = endOfUnit(unit, text, at);
    if (at === absent || at === cutShort) return at;
  }
  return at;
}

const base64Char = /[A-Za-z0-9+/_-]/;

function hitOf({ units, borders, shown }: Spelling, text: string, start: number): Hit | null {
  const end = endOfSpelling(units, text, start);
  if (end === absent) return null;
  const from = borders.left && base64Char.test(text.charAt(start - 1)) ? start - 1 : start;
  if (end === cutShort) return { from, to: text.length, shown: null };
  const rest = borders.right ? (/^[A-Za-z0-9+/_-]?={0,2}/.exec(text.slice(end, end + 3))?.[0].length ?? 0) : 0;
  return { from, to: end + rest, shown };
}

/** Spellings by the first UTF-16 unit of what they may begin with. */
function byBeginning(spellings: readonly Spelling[]): Map<number, Spelling[]> {
  const found = new Map<number, Set<Spelling>>();
  for (const spelling of spellings) {
    const begins = (spelling.units[0] ?? []).flatMap(({ written, anyCase }) => (anyCase ? [written, written.toUpperCase()] : [written]));
    for (const begin of begins) found.set(begin.charCodeAt(0), (found.get(begin.charCodeAt(0)) ?? new Set()).add(spelling));
  }
  return new Map([...found].map(([code, set]) => [code, [...set]]));
}

/** Hits in the order of their places, those that overlap as one. */
function hitsIn(text: string, spellings: ReadonlyMap<number, Spelling[]>, isCut: boolean): Hit[] {
  const hits: Hit[] = [];
  for (let start = 0; start < text.length; start += 1) {
    for (const spelling of spellings.get(text.charCodeAt(start)) ?? []) {
      const hit = hitOf(spelling, text, start);
      if (hit !== null && (hit.shown !== null || isCut)) join(hits, hit);
    }
  }
  return hits;
}

function join(hits: Hit[], hit: Hit): void {
  const last = hits.at(-1);
  if (last === undefined || hit.from >= last.to) {
    hits.push(hit);
    return;
  }
  // Of secrets that begin at one place the longer is the one that was meant.
  const isLonger = hit.from <= last.from && hit.to > last.to && hit.shown !== null;
  last.shown = isLonger ? hit.shown : (last.shown ?? hit.shown);
  last.from = Math.min(last.from, hit.from);
  last.to = Math.max(last.to, hit.to);
}

function withoutHits(text: string, hits: readonly Hit[]): string {
  let kept = '';
  let at = 0;
  for (const { from, to, shown } of hits) {
    kept += text.slice(at, from) + (shown ?? '');
    at = to;
  }
  return kept + text.slice(at);
}

export function createScrubber(hidden: readonly Hidden[]): Scrubber {
  const spellings = byBeginning(hidden.filter(({ value }) => value !== '').flatMap(spellingsOf));
  const scrub = (text: string, isCut: boolean): string => (spellings.size === 0 ? text : withoutHits(text, hitsIn(text, spellings, isCut)));
  return {
    text: (text) => scrub(text, false),
    // Bytes as Latin-1 text, one character per byte: a cut may fall inside a character.
    cutBody: (body) => Buffer.from(scrub(body.toString('latin1'), true), 'latin1'),
  };
}
