const stopWords = new Set(
  (
    'a about above after again all also an and any are as at be because been before being between both but by can cannot could did do does doing down during each few for ' +
    'from further get gets got had has have having he her here hers him his how i if in into is it its itself just let me more most my no nor not now of off on once only or ' +
    'other our out over own per please same she should so some such than that the their them then there these they this those through to too under until up upon us very via ' +
    'was we were what when where which while who whom why will with would you your yours'
  ).split(' '),
);

/** Content words in lower case, in order: at least three letters, no stop words, no numbers. */
export function contentWords(text: string): string[] {
  return (text.toLowerCase().match(/[\p{L}][\p{L}\p{N}_'-]*[\p{L}\p{N}]/gu) ?? []).filter((word) => word.length > 2 && !stopWords.has(word));
}

export function countWords(words: string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** The most frequent content words, addresses left out; of equally frequent ones the earlier first. */
export function keywordsOf(text: string, limit: number): string[] {
  const counts = [...countWords(contentWords(text.replace(/https?:\/\/\S+|\S+@\S+/g, ' ')))];
  return counts
    .sort((a, b) => b[1] - a[1])
    .slice(0, limit)
    .map(([word]) => word);
}

/** Cuts at a word's end and says so by an ellipsis. */
export function shorten(text: string, limit: number): string {
  const line = text.replace(/\s+/g, ' ').trim();
  if (line.length <= limit) return line;
  const cut = line.slice(0, limit - 1);
  const space = cut.lastIndexOf(' ');
  return `${cut.slice(0, space > limit / 2 ? space : undefined).trimEnd()}…`;
}
