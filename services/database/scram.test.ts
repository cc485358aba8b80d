import { expect, it } from 'vitest';
import { scramVerifier } from './scram.ts';

it('is the verifier of RFC 7677, section 3', () => {
  // The exchange there uses this password, salt and number of iterations; its proofs follow from the two keys.
  const verifier = scramVerifier('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'));
  expect(verifier).toBe(
    'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  );
});

it('does not hold the password, and differs each time', () => {
  expect(scramVerifier('0123456789abcdef')).not.toContain('0123456789abcdef');
  expect(scramVerifier('a')).not.toBe(scramVerifier('a'));
});
