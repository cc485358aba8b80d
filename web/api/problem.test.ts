import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { toProblem } from './problem.ts';

const silent = pino({ level: 'silent' });

describe('what the database says of a request', () => {
  it.each(['40P01', '40001'])('%s, it stood in the way of another change: the request may be repeated', (code) => {
    const thrown = Object.assign(new Error('deadlock detected'), { code });
    expect(toProblem(thrown, 'trace', silent)).toMatchObject({
      status: 503,
      code: 'database_contended',
      retryable: true,
      fix: expect.stringContaining('Idempotency-Key'),
    });
  });

  it('23505 is nothing that a client can do anything about', () => {
    expect(toProblem(Object.assign(new Error('duplicate'), { code: '23505' }), 'trace', silent)).toMatchObject({ status: 500, code: 'internal' });
  });
});
