/**
 * Path patterns: `*` and `?` within one segment, `**` for any number of segments. Matched by dynamic programming over segments and by greedy
 * backtracking to one star within a segment, so no pattern can make a match take exponential time (a translation to a regular expression could).
 */
export function matchesGlob(path: string, pattern: string): boolean {
  const segments = path.split('/');
  const parts = pattern.split('/');
  // reachable[i]: the parts seen so far can match exactly the first i segments.
  let reachable: boolean[] = [true, ...segments.map(() => false)];
  for (const part of parts) {
    const next: boolean[] = segments.map(() => false);
    next.push(false);
    for (let index = 0; index <= segments.length; index += 1) {
      if (part === '**') next[index] = (reachable[index] ?? false) || (index > 0 && (next[index - 1] ?? false));
      else if (index > 0 && (reachable[index - 1] ?? false)) next[index] = matchesSegment(segments[index - 1] ?? '', part);
    }
    reachable = next;
  }
  return reachable[segments.length] ?? false;
}

function matchesSegment(text: string, pattern: string): boolean {
  let textIndex = 0;
  let patternIndex = 0;
  let starIndex = -1;
  let resumeIndex = 0;
  while (textIndex < text.length) {
    const wanted = pattern[patternIndex];
    if (wanted === '*') {
      starIndex = patternIndex;
      resumeIndex = textIndex;
      patternIndex += 1;
    } else if (wanted !== undefined && (wanted === '?' || wanted === text[textIndex])) {
      textIndex += 1;
      patternIndex += 1;
    } else if (starIndex >= 0) {
      resumeIndex += 1;
      textIndex = resumeIndex;
      patternIndex = starIndex + 1;
    } else return false;
  }
  while (pattern[patternIndex] === '*') patternIndex += 1;
  return patternIndex === pattern.length;
}

/** A pattern without `/` is meant for names in any folder, as in `*.log`. */
export const matchesFilePattern = (relativePath: string, pattern: string): boolean =>
  matchesGlob(relativePath, pattern.includes('/') ? pattern : `**/${pattern}`);
