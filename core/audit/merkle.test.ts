import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { appendLeaf, appendLeaves, emptyFrontier, emptyRoot, hashLeaf, hashNode, packFrontier, rootOf, unpackFrontier, type Hash } from './merkle.ts';
import { consistencyRanges, inclusionRanges, rangeRoot, verifyConsistency, verifyInclusion, type LeafRange } from './proofs.ts';

/** The definition of RFC 9162 §2.1.1, word for word; slow on purpose. */
function naiveRoot(leaves: Hash[]): Hash {
  if (leaves.length === 0) return emptyRoot();
  if (leaves.length === 1) return leaves[0]!;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return hashNode(naiveRoot(leaves.slice(0, split)), naiveRoot(leaves.slice(split)));
}

const hex = (hash: Hash): string => Buffer.from(hash).toString('hex');
const someLeaves = (count: number): Hash[] => Array.from({ length: count }, (_, index) => hashLeaf(Buffer.from(`entry ${index}`)));
const lookUp = (leaves: Hash[], ranges: LeafRange[]): Hash[] => ranges.map(({ begin, end }) => rangeRoot(leaves.slice(begin, end)));
const changed = (hash: Hash): Hash => Uint8Array.from(hash, (byte, index) => (index === 7 ? byte ^ 4 : byte));

/** The eight entries and tree heads that Certificate Transparency's implementations test with. */
const knownEntries = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const knownRoots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

describe('tree heads', () => {
  test('are those of Certificate Transparency for its known entries', () => {
    let frontier = emptyFrontier();
    for (const [index, entry] of knownEntries.entries()) {
      frontier = appendLeaf(frontier, hashLeaf(Buffer.from(entry, 'hex')));
      expect(hex(rootOf(frontier))).toBe(knownRoots[index]);
    }
    expect(hex(rootOf(emptyFrontier()))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });

  test('grown leaf by leaf are those of the definition', () => {
    let frontier = emptyFrontier();
    const leaves = someLeaves(130);
    for (const [index, leaf] of leaves.entries()) {
      frontier = appendLeaf(frontier, leaf);
      expect(hex(rootOf(frontier))).toBe(hex(naiveRoot(leaves.slice(0, index + 1))));
    }
  });

  test('go on from a packed frontier as if nothing had happened', () => {
    fc.assert(
      fc.property(fc.nat(70), fc.nat(70), (before, after) => {
        const leaves = someLeaves(before + after);
        const first = appendLeaves(emptyFrontier(), leaves.slice(0, before));
        const resumed = unpackFrontier(before, packFrontier(first));
        expect(hex(rootOf(appendLeaves(resumed, leaves.slice(before))))).toBe(hex(naiveRoot(leaves)));
      }),
    );
  });

  test('a frontier of the wrong length is refused', () => {
    expect(() => unpackFrontier(3, new Uint8Array(32))).toThrow(/64 bytes/);
  });
});

const tree = fc.integer({ min: 1, max: 70 }).chain((size) => fc.record({ size: fc.constant(size), index: fc.nat(size - 1) }));

describe('inclusion', () => {
  test('is proved for every entry, and for no other place, leaf, root or proof', () => {
    fc.assert(
      fc.property(tree, fc.nat(), ({ size, index }, salt) => {
        const leaves = someLeaves(size);
        const claim = { leaf: leaves[index]!, index, size, root: naiveRoot(leaves), proof: lookUp(leaves, inclusionRanges(index, size)) };
        expect(verifyInclusion(claim)).toBe(true);
        expect(verifyInclusion({ ...claim, leaf: changed(claim.leaf) })).toBe(false);
        expect(verifyInclusion({ ...claim, root: changed(claim.root) })).toBe(false);
        expect(verifyInclusion({ ...claim, proof: [...claim.proof, claim.leaf] })).toBe(false);
        expect(verifyInclusion({ ...claim, index: size })).toBe(false);
        if (claim.proof.length === 0) return;
        expect(verifyInclusion({ ...claim, proof: claim.proof.slice(1) })).toBe(false);
        const at = salt % claim.proof.length;
        expect(verifyInclusion({ ...claim, proof: claim.proof.map((hash, position) => (position === at ? changed(hash) : hash)) })).toBe(false);
      }),
    );
  });

  test('proofs are as short as the tree is high', () => {
    expect(inclusionRanges(5, 1_000_000)).toHaveLength(20);
    expect(() => inclusionRanges(7, 7)).toThrow(/no entry 7/);
  });
});

const growth = fc.integer({ min: 1, max: 70 }).chain((second) => fc.record({ second: fc.constant(second), first: fc.integer({ min: 1, max: second }) }));

describe('consistency', () => {
  test('is proved for every earlier tree, and for no changed or cut one', () => {
    fc.assert(
      fc.property(growth, fc.nat(), ({ first, second }, salt) => {
        const leaves = someLeaves(second);
        const proof = lookUp(leaves, consistencyRanges(first, second));
        const claim = { first, second, firstRoot: naiveRoot(leaves.slice(0, first)), secondRoot: naiveRoot(leaves), proof };
        expect(verifyConsistency(claim)).toBe(true);
        expect(verifyConsistency({ ...claim, firstRoot: changed(claim.firstRoot) })).toBe(false);
        expect(verifyConsistency({ ...claim, secondRoot: changed(claim.secondRoot) })).toBe(false);
        expect(verifyConsistency({ ...claim, proof: [...proof, claim.firstRoot] })).toBe(false);
        const rewritten = leaves.map((leaf, index) => (index === salt % first ? changed(leaf) : leaf));
        expect(verifyConsistency({ ...claim, secondRoot: naiveRoot(rewritten), proof: lookUp(rewritten, consistencyRanges(first, second)) })).toBe(false);
        if (first < second)
          expect(verifyConsistency({ ...claim, first: second, second: first, firstRoot: claim.secondRoot, secondRoot: claim.firstRoot })).toBe(false);
      }),
    );
  });

  test('has no proof from nothing or from a larger tree', () => {
    expect(() => consistencyRanges(0, 5)).toThrow(/No consistency proof/);
    expect(() => consistencyRanges(6, 5)).toThrow(/No consistency proof/);
  });
});
