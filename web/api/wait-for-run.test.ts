import { expect, it } from 'vitest';
import { preferredWait } from './wait-for-run.ts';

it('reads the wait of Prefer (RFC 7240), at most a minute', () => {
  const cases: [string | undefined, number | null][] = [
    [undefined, null],
    ['', null],
    ['respond-async', null],
    ['wait=5', 5],
    ['respond-async, wait=10', 10],
    ['handling=lenient; wait = "7"', 7],
    ['wait=600', 60],
    ['wait=-1', null],
    ['await=5', null],
  ];
  for (const [header, seconds] of cases) expect([header, preferredWait(header)]).toEqual([header, seconds]);
});
