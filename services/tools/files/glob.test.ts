import fc from 'fast-check';
import { expect, it } from 'vitest';
import { matchesFilePattern, matchesGlob } from '#services/tools/files/glob.ts';

it.each([
  ['a.log', '*.log', true],
  ['x/a.log', '*.log', false],
  ['x/a.log', '**/*.log', true],
  ['a.log', '**/*.log', true],
  ['x/y/z', 'x/**', true],
  ['x', 'x/**', true],
  ['x/y/z', '**/y/**', true],
  ['x/y/z', '**/q/**', false],
  ['abc', 'a?c', true],
  ['a/c', 'a?c', false],
  ['syslog.1', 'sys*.?', true],
  ['a[b].log', 'a[b].log', true],
])('%s against %s: %s', (path, pattern, wanted) => {
  expect(matchesGlob(path, pattern)).toBe(wanted);
});

it('a pattern without a slash is meant for names in any folder', () => {
  expect(matchesFilePattern('x/y/a.log', '*.log')).toBe(true);
  expect(matchesFilePattern('x/y/a.log', 'x/*.log')).toBe(false);
});

it('matches every path by itself and by two stars', () => {
  const path = fc.array(fc.stringMatching(/^[a-z.]{1,5}$/), { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
  fc.assert(
    fc.property(path, (text) => {
      expect(matchesGlob(text, text)).toBe(true);
      expect(matchesGlob(text, '**')).toBe(true);
    }),
  );
});

it('is not slowed down by patterns made to be slow', () => {
  const started = performance.now();
  expect(matchesGlob('a'.repeat(255), `${'a*'.repeat(100)}b`)).toBe(false);
  expect(matchesGlob('a/'.repeat(200), `${'**/a/'.repeat(80)}b`)).toBe(false);
  expect(performance.now() - started).toBeLessThan(10_000);
});
