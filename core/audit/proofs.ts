import { appendLeaves, emptyFrontier, hashNode, rootOf, splitPoint, type Hash } from './merkle.ts';

/** Leaves `[begin, end)`. A proof is a list of hashes of such ranges; whoever has the leaves, or stored subtrees, looks them up. */
export interface LeafRange {
  begin: number;
  end: number;
}

/** Ranges whose hashes prove that leaf `index` is in the tree of `size` leaves, from the leaf up (RFC 9162 §2.1.3.1). */
export function inclusionRanges(index: number, size: number): LeafRange[] {
  requireIndex(index, size);
  return inclusionWithin(index, { begin: 0, end: size });
}

function inclusionWithin(index: number, tree: LeafRange): LeafRange[] {
  const size = tree.end - tree.begin;
  if (size === 1) return [];
  const middle = tree.begin + splitPoint(size);
  const left = { begin: tree.begin, end: middle };
  const right = { begin: middle, end: tree.end };
  return index < middle ? [...inclusionWithin(index, left), right] : [...inclusionWithin(index, right), left];
}

/** Ranges whose hashes prove that the tree of `first` leaves is the beginning of the tree of `second` (RFC 9162 §2.1.4.1). */
export function consistencyRanges(first: number, second: number): LeafRange[] {
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(second) || first < 1 || first > second) {
    throw new RangeError(`No consistency proof leads from ${first} to ${second} leaves.`);
  }
  return first === second ? [] : consistencyWithin(first, { begin: 0, end: second }, true);
}

/** `whole`: the range so far is the old tree itself, whose root the verifier knows already. */
function consistencyWithin(first: number, tree: LeafRange, whole: boolean): LeafRange[] {
  if (first === tree.end) return whole ? [] : [tree];
  const middle = tree.begin + splitPoint(tree.end - tree.begin);
  const left = { begin: tree.begin, end: middle };
  const right = { begin: middle, end: tree.end };
  return first <= middle ? [...consistencyWithin(first, left, whole), right] : [...consistencyWithin(first, right, false), left];
}

/** The hash of one range from its leaves' hashes. */
export const rangeRoot = (leaves: Iterable<Hash>): Hash => rootOf(appendLeaves(emptyFrontier(), leaves));

/** Whether `proof` shows that the leaf stands at `index` of the tree with this root (RFC 9162 §2.1.3.2). */
export function verifyInclusion(claim: { leaf: Hash; index: number; size: number; root: Hash; proof: Hash[] }): boolean {
  const { index, size, proof } = claim;
  if (!isIndex(index, size)) return false;
  let [place, last] = [index, size - 1];
  let hash = claim.leaf;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (place % 2 === 1 || place === last) {
      hash = hashNode(sibling, hash);
      while (place % 2 === 0 && place !== 0) [place, last] = [half(place), half(last)];
    } else {
      hash = hashNode(hash, sibling);
    }
    [place, last] = [half(place), half(last)];
  }
  return last === 0 && sameHash(hash, claim.root);
}

/** Whether `proof` shows that the first tree is the beginning of the second (RFC 9162 §2.1.4.2): nothing was changed or cut. */
export function verifyConsistency(claim: { first: number; second: number; firstRoot: Hash; secondRoot: Hash; proof: Hash[] }): boolean {
  const { first, second, firstRoot, secondRoot } = claim;
  if (first < 1 || first > second || !Number.isSafeInteger(first) || !Number.isSafeInteger(second)) return false;
  if (first === second) return claim.proof.length === 0 && sameHash(firstRoot, secondRoot);
  const proof = isPowerOfTwo(first) ? [firstRoot, ...claim.proof] : [...claim.proof];
  let [place, last] = [first - 1, second - 1];
  while (place % 2 === 1) [place, last] = [half(place), half(last)];
  const start = proof.shift();
  if (start === undefined) return false;
  let [old, fresh] = [start, start];
  for (const sibling of proof) {
    if (last === 0) return false;
    if (place % 2 === 1 || place === last) {
      [old, fresh] = [hashNode(sibling, old), hashNode(sibling, fresh)];
      while (place % 2 === 0 && place !== 0) [place, last] = [half(place), half(last)];
    } else {
      fresh = hashNode(fresh, sibling);
    }
    [place, last] = [half(place), half(last)];
  }
  return last === 0 && sameHash(old, firstRoot) && sameHash(fresh, secondRoot);
}

const half = (value: number): number => Math.floor(value / 2);
const isPowerOfTwo = (value: number): boolean => Number.isInteger(Math.log2(value));
const sameHash = (a: Hash, b: Hash): boolean => Buffer.compare(a, b) === 0;
const isIndex = (index: number, size: number): boolean => Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size;

function requireIndex(index: number, size: number): void {
  if (!isIndex(index, size)) throw new RangeError(`A log of ${size} entries has no entry ${index}.`);
}
