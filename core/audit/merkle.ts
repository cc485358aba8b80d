import { createHash } from 'node:crypto';

/** The Merkle tree of RFC 9162 §2.1: SHA-256, leaves and nodes told apart by a first byte. */
export const hashBytes = 32;
const leafPrefix = Buffer.of(0x00);
const nodePrefix = Buffer.of(0x01);

export type Hash = Uint8Array;

export const hashLeaf = (entry: Uint8Array): Hash => createHash('sha256').update(leafPrefix).update(entry).digest();
export const hashNode = (left: Hash, right: Hash): Hash => createHash('sha256').update(nodePrefix).update(left).update(right).digest();
export const emptyRoot = (): Hash => createHash('sha256').digest();

/**
 * All that is needed to append: the roots of the perfect subtrees that the leaves so far make up, largest and leftmost first; as many as `size` has bits set.
 */
export interface Frontier {
  size: number;
  roots: Hash[];
}

export const emptyFrontier = (): Frontier => ({ size: 0, roots: [] });

/** The frontier with one more leaf. The given one stays as it is. */
export function appendLeaf(frontier: Frontier, leaf: Hash): Frontier {
  const roots = [...frontier.roots];
  let merged = leaf;
  for (let rest = frontier.size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
    merged = hashNode(roots.pop() as Hash, merged);
  }
  return { size: frontier.size + 1, roots: [...roots, merged] };
}

export const appendLeaves = (frontier: Frontier, leaves: Iterable<Hash>): Frontier => Iterator.from(leaves).reduce(appendLeaf, frontier);

/** The tree head's hash: subtrees are joined from the right. */
export function rootOf(frontier: Frontier): Hash {
  const [last, ...rest] = frontier.roots.toReversed();
  return last === undefined ? emptyRoot() : rest.reduce((right, left) => hashNode(left, right), last);
}

/** The roots one after another, as the sequencer's row keeps them. */
export const packFrontier = (frontier: Frontier): Uint8Array => Buffer.concat(frontier.roots);

/** Throws when the bytes cannot be the frontier of a tree of that size: the row was damaged. */
export function unpackFrontier(size: number, packed: Uint8Array): Frontier {
  const expected = bitsSet(size) * hashBytes;
  if (packed.length !== expected) throw new RangeError(`A frontier of ${size} leaves has ${expected} bytes, not ${packed.length}.`);
  return { size, roots: Array.from({ length: packed.length / hashBytes }, (_, index) => packed.slice(index * hashBytes, (index + 1) * hashBytes)) };
}

const bitsSet = (size: number): number => size.toString(2).replaceAll('0', '').length;

/** The largest power of two below `size`, which must be at least 2: where RFC 9162 splits a tree. */
export function splitPoint(size: number): number {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}
