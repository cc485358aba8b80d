/** Longest name that is compared; a longer one has no useful neighbour. */
const longestName = 64;

/**
 * Edits (insert, delete, replace, swap of neighbours) between two names, ignoring case: optimal string alignment distance.
 * Stops counting beyond `bound` and answers `bound + 1`.
 */
export function editDistance(left: string, right: string, bound: number): number {
  const a = left.toLowerCase();
  const b = right.toLowerCase();
  if (Math.abs(a.length - b.length) > bound) return bound + 1;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    let best = row;
    for (let column = 1; column <= b.length; column += 1) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1;
      let distance = Math.min((previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (previous[column - 1] ?? 0) + cost);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        distance = Math.min(distance, (beforePrevious[column - 2] ?? 0) + 1);
      }
      current.push(distance);
      best = Math.min(best, distance);
    }
    if (best > bound) return bound + 1;
    beforePrevious = previous;
    previous = current;
  }
  return Math.min(previous[b.length] ?? bound + 1, bound + 1);
}

/** The known name that a wrong one most likely means; undefined when none is near enough to be a help. */
export function closestName(wrong: string, known: Iterable<string>): string | undefined {
  if (wrong.length > longestName) return undefined;
  let bound = Math.max(1, Math.floor(wrong.length / 3));
  let closest: string | undefined;
  for (const name of known) {
    const distance = editDistance(wrong, name, bound);
    if (distance > bound) continue;
    if (distance < bound || closest === undefined) closest = name;
    bound = distance;
  }
  return closest;
}

/** `did you mean "x"?`, ready for a fault's suggestion. */
export function didYouMean(wrong: string, known: Iterable<string>): string | undefined {
  const name = closestName(wrong, known);
  return name === undefined ? undefined : `did you mean "${name}"?`;
}
