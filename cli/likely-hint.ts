import { closestName } from '#core/expression/closest-name.ts';

const hint = /'([^'\n]+)'\n\(Did you mean (?:one of )?([^?]+)\?\)/;

/** What the parser says of an unknown word, with its hint only where that is near enough to have been meant: `bogus` is no `logout`. */
export function withLikelyHint(text: string): string {
  const [whole, word = '', names = ''] = hint.exec(text) ?? [];
  if (whole === undefined) return text;
  const bare = (name: string): string => name.replace(/^-+/, '');
  const likely = names.split(', ').filter((name) => closestName(bare(word), [bare(name)]) !== undefined);
  const said = likely.length === 0 ? '' : `\n(Did you mean ${likely.length === 1 ? '' : 'one of '}${likely.join(', ')}?)`;
  return text.replace(whole, () => `'${word}'${said}`);
}
