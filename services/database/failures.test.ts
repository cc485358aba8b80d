import { describe, expect, it } from 'vitest';
import { isPassingFailure, isUnstorableValue } from './failures.ts';

const withCode = (code: string): Error => Object.assign(new Error(code), { code });

describe('failures of the database', () => {
  it.each(['CONNECTION_CLOSED', 'ECONNREFUSED', '08006', '57P01', '40001', '53300'])('%s passes', (code) => {
    expect(isPassingFailure(withCode(code))).toBe(true);
    expect(isUnstorableValue(withCode(code))).toBe(false);
  });

  it('a missing socket passes, a missing file does not', () => {
    expect(isPassingFailure(Object.assign(withCode('ENOENT'), { syscall: 'connect' }))).toBe(true);
    expect(isPassingFailure(Object.assign(withCode('ENOENT'), { syscall: 'open' }))).toBe(false);
  });

  it.each(['22021', '22P05', '54000'])('%s will never be taken', (code) => {
    expect(isUnstorableValue(withCode(code))).toBe(true);
    expect(isPassingFailure(withCode(code))).toBe(false);
  });

  it.each([withCode('23505'), withCode('EACCES'), new Error('x'), 'text', null])('%s is neither', (error) => {
    expect(isPassingFailure(error) || isUnstorableValue(error)).toBe(false);
  });
});
