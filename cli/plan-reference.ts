import { usageFault } from './faults.ts';

/** `NAME`, or `NAME@VERSION`. */
export function parsePlanReference(reference: string): { name: string; version: number | null } {
  const match = /^([a-z][a-z0-9-]{0,63})(?:@([1-9][0-9]{0,8}))?$/.exec(reference);
  if (match?.[1] === undefined) {
    throw usageFault(
      `"${reference}" is not the name of a plan: names have lower-case letters, digits and hyphens, a version follows as @2.`,
      'See the saved plans: kai plan list',
    );
  }
  return { name: match[1], version: match[2] === undefined ? null : Number(match[2]) };
}
