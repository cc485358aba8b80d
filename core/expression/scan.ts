/** A text cut at its `${…}`: literal pieces (with `$${` already read as `${`) and expressions with the offset of their source. */
export type TextPiece = { kind: 'literal'; text: string } | { kind: 'expression'; source: string; offset: number };

export type ScannedText = { ok: true; pieces: TextPiece[] } | { ok: false; message: string; start: number; end: number };

/** Cuts a text at its expressions. Braces and quotes inside an expression are understood, so `${ {"a": "}"}.a }` is one. */
export function scanText(text: string): ScannedText {
  const pieces: TextPiece[] = [];
  let literal = '';
  let position = 0;
  for (;;) {
    const dollar = text.indexOf('${', position);
    if (dollar === -1) break;
    if (text[dollar - 1] === '$' && dollar > position) {
      literal += `${text.slice(position, dollar - 1)}\${`;
      position = dollar + 2;
      continue;
    }
    literal += text.slice(position, dollar);
    const end = endOfExpression(text, dollar + 2);
    if (end === undefined) return { ok: false, message: 'the expression that starts here has no closing brace', start: dollar, end: text.length };
    if (literal !== '') pieces.push({ kind: 'literal', text: literal });
    literal = '';
    pieces.push({ kind: 'expression', source: text.slice(dollar + 2, end), offset: dollar + 2 });
    position = end + 1;
  }
  literal += text.slice(position);
  if (literal !== '') pieces.push({ kind: 'literal', text: literal });
  return { ok: true, pieces };
}

/** Offset of the brace that closes the expression starting at `position`. */
function endOfExpression(text: string, position: number): number | undefined {
  let depth = 0;
  let index = position;
  while (index < text.length) {
    const character = text[index];
    if (character === '"' || character === "'") {
      index = endOfString(text, index);
      continue;
    }
    if (character === '/' && text[index + 1] === '/') {
      const newline = text.indexOf('\n', index);
      index = newline === -1 ? text.length : newline;
      continue;
    }
    if (character === '{') depth += 1;
    if (character === '}') {
      if (depth === 0) return index;
      depth -= 1;
    }
    index += 1;
  }
  return undefined;
}

/** Offset after the string literal that opens at `start`; the text's end when it is not closed. */
function endOfString(text: string, start: number): number {
  const quote = text[start] as string;
  const delimiter = text.startsWith(quote.repeat(3), start) ? quote.repeat(3) : quote;
  let index = start + delimiter.length;
  while (index < text.length) {
    // Raw strings (r"…") keep their backslashes, but these guard a quote all the same.
    if (text[index] === '\\') index += 2;
    else if (text.startsWith(delimiter, index)) return index + delimiter.length;
    else index += 1;
  }
  return text.length;
}
