import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clusterId, Drain, type LogCluster, templateOf } from '#services/tools/log/drain.ts';
import type { LogLevel } from '#services/tools/log/level.ts';
import { maskedTokens } from '#services/tools/log/mask.ts';

function mine(lines: readonly (readonly [LogLevel, string])[], capacity = 1_000): Drain {
  const drain = new Drain({ capacity });
  lines.forEach(([level, line], index) => drain.add({ level, tokens: maskedTokens(line), line, file: 'a.log', lineNumber: index + 1 }));
  return drain;
}
const shown = (clusters: LogCluster[]): [string, number][] => clusters.map((cluster) => [templateOf(cluster), cluster.count]);

describe('Drain', () => {
  it('finds the templates of messages whose words vary', () => {
    const lines = ['alice', 'bob', 'carol'].flatMap((name) => [
      ['info', `session opened for user ${name} by root`] as const,
      ['warn', `login of ${name} failed 3 times`] as const,
    ]);
    expect(shown(mine(lines).clusters())).toEqual([
      ['login of <*> failed <num> times', 3],
      ['session opened for user <*> by root', 3],
    ]);
  });

  it('keeps levels and lengths apart, and the most severe first', () => {
    const clusters = mine([
      ['info', 'a b c'],
      ['info', 'a b c'],
      ['error', 'a b c'],
      ['info', 'a b c d'],
    ]).clusters();
    expect(clusters.map(({ level, count }) => [level, count])).toEqual([
      ['error', 1],
      ['info', 2],
      ['info', 1],
    ]);
  });

  it('remembers where a template was first seen, with up to three different samples', () => {
    const [cluster] = mine(Array.from({ length: 10 }, (_, index) => ['info', `job ${index >> 1} done`] as const)).clusters();
    expect(cluster).toMatchObject({ firstLine: 1, samples: ['job 0 done', 'job 1 done', 'job 2 done'], files: ['a.log'], count: 10 });
  });

  it('counts every line once, kept or forgotten, within its capacity', () => {
    const line = fc.tuple(
      fc.constantFrom<LogLevel>('error', 'info'),
      fc.array(fc.stringMatching(/^[a-z]{1,3}$/), { minLength: 1, maxLength: 4 }).map((words) => words.join(' ')),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 200 }), fc.integer({ min: 1, max: 20 }), (lines, capacity) => {
        const drain = mine(lines, capacity);
        const clusters = drain.clusters();
        expect(clusters.length).toBeLessThanOrEqual(capacity);
        expect(clusters.reduce((sum, { count }) => sum + count, 0) + drain.forgotten.lines).toBe(lines.length);
        expect(new Set(clusters.map(clusterId)).size).toBe(clusters.length);
      }),
    );
  });

  it('does not lose a rare error in a flood of other templates', () => {
    const flood = Array.from(
      { length: 5_000 },
      (_, index) => ['info', `${String.fromCharCode(97 + (index % 26))}${index.toString(36).replaceAll(/\d/g, 'z')} word${index % 7} here`] as const,
    );
    const clusters = mine([['error', 'disk sda is failing'], ...flood], 50).clusters();
    expect(templateOf(clusters[0] as LogCluster)).toBe('disk sda is failing');
  });
});
