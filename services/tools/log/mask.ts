/** Longer words are cut before they are looked at: what tells messages apart stands at their start. */
const maximumTokenCharacters = 120;
const maximumTokens = 100;
/** Stands for the words past `maximumTokens`. */
const restToken = '<rest>';

const url = /\b[a-z][a-z0-9+.-]{1,15}:\/\/[^\s"'<>)\]]+/gi;
const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi;
const dateTime = /\d{4}[-/]\d\d[-/]\d\d(?:[T_:]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?|\d{1,2}\/[A-Z][a-z]{2}\/\d{4}(?::\d\d:\d\d:\d\d)?/g;
const clockTime = /(?<![\d:])\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?![\d:])/g;
const ipv4 = /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\d.])/g;
const ipv6 =
  /(?<![0-9a-z:])(?:(?:[0-9a-f]{1,4}:){1,7}(?::[0-9a-f]{1,4}){1,7}|(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){1,7}:|::(?:[0-9a-f]{1,4}:){0,6}[0-9a-f]{1,4})(?:%\w+)?(?![0-9a-z:])/gi;
const path = /(?<![\w<>.])(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][\w.@%+~=:,-]+){2,}[/\\]?/g;
const hexadecimal = /\b0x[0-9a-f]+\b|(?<![A-Za-z0-9])(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{6,}(?![A-Za-z0-9])/gi;
const number = /\d+(?:[.,]\d+)*/g;

function maskToken(token: string): string {
  const short = token.length > maximumTokenCharacters ? token.slice(0, maximumTokenCharacters) : token;
  let masked = short;
  if (masked.includes('://')) masked = masked.replace(url, '<url>');
  if (masked.includes('-')) masked = masked.replace(uuid, '<uuid>');
  masked = masked.replace(dateTime, '<time>');
  if (masked.includes(':')) masked = masked.replace(clockTime, '<time>').replace(ipv6, '<ip>');
  if (masked.includes('.')) masked = masked.replace(ipv4, '<ip>');
  if (masked.includes('/') || masked.includes('\\')) masked = masked.replace(path, '<path>');
  return masked.replace(hexadecimal, '<hex>').replace(number, '<num>');
}

/** True when a word may hold something to mask: a digit, or a path. Most words do not, and are let through unlooked at. */
function mayVary(token: string): boolean {
  for (let index = 0; index < token.length; index += 1) {
    const code = token.charCodeAt(index);
    if ((code >= 48 && code <= 57) || code === 47 || code === 92) return true;
  }
  return token.length > maximumTokenCharacters || token.includes('::');
}

/** The words of a message with what varies from line to line replaced by what it is: numbers, ids, addresses, times, paths. */
export function maskedTokens(message: string): string[] {
  const words = message.trim().split(/\s+/, maximumTokens + 1);
  const tokens = words.length > maximumTokens ? [...words.slice(0, maximumTokens), restToken] : words;
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index] ?? '';
    if (mayVary(token)) tokens[index] = maskToken(token);
  }
  return tokens;
}
