import { describe, expect, it } from 'vitest';
import { findLicenceFaults, isPermissive } from './licences.ts';

describe('licences', () => {
  it.each(['MIT', '(MIT OR GPL-3.0-only)', 'Apache-2.0 AND MIT', '(MIT AND (ISC OR AGPL-3.0-only))', 'GPL-3.0-only OR MIT'])('accept %s', (expression) => {
    expect(isPermissive(expression)).toBe(true);
  });

  it.each([
    'GPL-3.0-only',
    'AGPL-3.0-only',
    'SSPL-1.0',
    'MIT AND GPL-2.0-only',
    '(MIT OR ISC) AND BUSL-1.1',
    'SEE LICENSE IN FILE',
    'UNLICENSED',
    '',
    'MIT MIT',
  ])('refuse %s', (expression) => {
    expect(isPermissive(expression)).toBe(false);
  });

  it('look at what is shipped, not at tools', () => {
    const faults = findLicenceFaults({
      '': {},
      'node_modules/tool': { license: 'GPL-3.0-only', dev: true },
      'node_modules/shipped': { license: 'GPL-3.0-only' },
      'node_modules/a/node_modules/@b/nested': {},
    });
    expect(faults).toHaveLength(2);
    expect(faults[0]).toMatch(/^shipped is under GPL-3.0-only/);
    expect(faults[1]).toMatch(/^@b\/nested names no licence/);
  });
});
