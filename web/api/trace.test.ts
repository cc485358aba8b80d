import { describe, expect, it } from 'vitest';
import { traceOf } from './trace.ts';

const given = '4bf92f3577b34da6a3ce929d0e0e4736';
const ask = (traceparent?: string, requestId?: string) => traceOf({ traceparent, requestId });

describe('the trace of a request', () => {
  it('is the caller’s, with a part of our own', () => {
    const trace = ask(`00-${given}-00f067aa0ba902b7-01`, 'job-7.retry_2');
    expect(trace).toEqual({ traceId: given, requestId: 'job-7.retry_2', traceparent: expect.stringMatching(new RegExp(`^00-${given}-[0-9a-f]{16}-01$`)) });
    expect(trace.traceparent).not.toContain('00f067aa0ba902b7');
  });

  it('is a new one where the caller’s is missing, malformed or nothing', () => {
    for (const wrong of [
      undefined,
      '',
      given,
      `ff-${given}-00f067aa0ba902b7-01`,
      `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
      `00-${given}-${'0'.repeat(16)}-01`,
    ]) {
      const { traceId, traceparent } = ask(wrong);
      expect(traceId).toMatch(/^[0-9a-f]{32}$/);
      expect(traceId).not.toBe(given);
      expect(traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
    }
  });

  it('takes no request id that could write into a log', () => {
    for (const wrong of ['a\nb', 'x'.repeat(129), '', '{"a":1}', undefined]) expect(ask(undefined, wrong).requestId).toMatch(/^[0-9a-f]{16}$/);
  });
});
