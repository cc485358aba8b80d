import { contentWords, countWords } from './words.ts';

const segmenter = new Intl.Segmenter('en', { granularity: 'sentence' });

/** Sentences; a line break ends one too, so that lists and headings are not run together. */
export function sentencesOf(text: string): string[] {
  return text
    .split(/\n+/)
    .flatMap((line) => [...segmenter.segment(line)].map(({ segment }) => segment.trim()))
    .filter((sentence) => /\p{L}/u.test(sentence));
}

/**
 * The sentences that share most words with the rest, in their own order (extractive summary after Luhn, 1958: frequency of content words, damped by
 * length; the first sentence gets a bonus, as openings usually say what a text is about).
 */
export function summarise(text: string, limits: { sentences: number; characters: number }): string {
  const sentences = sentencesOf(text);
  const frequency = countWords(contentWords(text));
  const scored = sentences.map((sentence, position) => ({ sentence, position, score: scoreOf(sentence, frequency) * (position === 0 ? 1.5 : 1) }));
  const best = scored.sort((a, b) => b.score - a.score || a.position - b.position).slice(0, limits.sentences);
  return takeUpTo(best, limits.characters)
    .sort((a, b) => a.position - b.position)
    .map(({ sentence }) => sentence)
    .join(' ');
}

function scoreOf(sentence: string, frequency: Map<string, number>): number {
  const words = new Set(contentWords(sentence));
  const sum = [...words].reduce((total, word) => total + (frequency.get(word) ?? 0), 0);
  return sum / Math.sqrt(words.size + 1);
}

/** The best sentences that fit; always at least one. */
function takeUpTo<T extends { sentence: string }>(best: T[], characters: number): T[] {
  let used = 0;
  return best.filter(({ sentence }, index) => {
    if (index > 0 && used + sentence.length > characters) return false;
    used += sentence.length + 1;
    return true;
  });
}
