import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Json } from '#schemas/json.ts';
import { readMapping } from './mapping.ts';
import { leftOut, showBody, showHeaders } from './shown.ts';

const faultsOf = (filter: string | null, input: Record<string, Json> = {}) =>
  readMapping({ filter, input }).faults.map(({ pointer, message }) => [pointer, message]);

describe('what a trigger makes of a delivery', () => {
  it('sees body and headers, and nothing of a run', () => {
    expect(faultsOf('body.action == "opened" && headers["x-github-event"] == "issues"', { title: '${body.issue.title}', all: '${body}' })).toEqual([]);
    expect(faultsOf(null, { path: '${input.path}' })[0]?.[1]).toContain('not known to a trigger');
    expect(faultsOf('steps.a.output')[0]?.[0]).toBe('/filter');
  });

  it('is refused with its place where it cannot be right', () => {
    expect(faultsOf('"text"')).toEqual([['/filter', expect.stringContaining('true or false')]]);
    expect(faultsOf('body.a ==')[0]?.[0]).toBe('/filter');
    expect(faultsOf('${body.a} and more')[0]?.[0]).toBe('/filter');
    expect(faultsOf(null, { deep: [{ x: '${nothing.here}' }] })[0]?.[0]).toBe('/input/deep/0/x');
  });
});

describe('a delivery as it is shown', () => {
  it('has no authorisation, cookie or signature in it, whatever their case, and nothing that is private', () => {
    const headers = {
      Authorization: 'Bearer x',
      cookie: 'a=b',
      'X-Hub-Signature-256': 'sha256=00',
      'webhook-signature': 'v1,x',
      'X-Customer': 'Ada',
      accept: '*/*',
    };
    expect(showHeaders(headers, ['x-customer'])).toEqual({
      Authorization: leftOut,
      cookie: leftOut,
      'X-Hub-Signature-256': leftOut,
      'webhook-signature': leftOut,
      'X-Customer': leftOut,
      accept: '*/*',
    });
  });

  it('holds nothing of what a pointer names, and all else as it was', () => {
    expect(showBody({ a: { b: 1, c: 2 }, list: [{ x: 1 }, { x: 2 }], 'a/b': 3 }, ['/a/b', '/list/*/x', '/a~1b'])).toEqual({
      a: { b: leftOut, c: 2 },
      list: [{ x: leftOut }, { x: leftOut }],
      'a/b': leftOut,
    });
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), fc.jsonValue()), fc.stringMatching(/^[a-z]{1,4}$/), (body, name) => {
        const shown = showBody(body as Json, [`/${name}`]) as Record<string, unknown>;
        expect(Object.keys(shown).toSorted()).toEqual(Object.keys(body).toSorted());
        for (const key of Object.keys(body)) expect(shown[key]).toEqual(key === name ? leftOut : body[key]);
      }),
    );
  });
});
