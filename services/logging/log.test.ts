import { describe, expect, it } from 'vitest';
import { describeError } from './log.ts';

describe('what a log line keeps of an error', () => {
  it('leaves out members that may hold data', () => {
    const error = Object.assign(new Error('violates check constraint'), {
      code: '23514',
      detail: 'Failing row contains (secret).',
      extra: { arguments: 'secret' },
    });
    const described = describeError(new Error('outer', { cause: error }));
    expect(described.cause).toMatchObject({ code: '23514', message: 'violates check constraint' });
    expect(JSON.stringify(described)).not.toContain('secret');
  });

  it('ends a circle of causes', () => {
    const error = new Error('round');
    error.cause = error;
    expect(describeError(error).cause?.cause?.cause?.cause).toBeUndefined();
  });

  it('takes what is no error', () => {
    expect(describeError('text')).toEqual({ type: 'string', message: 'text' });
  });
});
