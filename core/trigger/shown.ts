import type { Json } from '#schemas/json.ts';

/** Headers that prove who the sender is, or carry what is good elsewhere. */
const secretHeader = /^(authorization|proxy-authorization|cookie|set-cookie|x-api-key|x-forwarded-authorization)$|signature|token|secret/i;

export const leftOut = '[left out]';

/** Headers as people may see them: without authorisation, cookies, signatures and what the trigger names. */
export function showHeaders(headers: Record<string, string>, named: readonly string[]): Record<string, string> {
  const hidden = new Set(named.map((name) => name.toLowerCase()));
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, secretHeader.test(name) || hidden.has(name.toLowerCase()) ? leftOut : value]),
  );
}

/** The body without what the trigger's pointers (RFC 6901) name. */
export function showBody(body: Json, pointers: readonly string[]): Json {
  return pointers.reduce((shown, pointer) => without(shown, keysOf(pointer)), body);
}

const keysOf = (pointer: string): string[] =>
  pointer
    .slice(1)
    .split('/')
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));

function without(value: Json, [key, ...rest]: string[]): Json {
  if (key === undefined) return leftOut;
  if (Array.isArray(value)) return value.map((item, index) => (String(index) === key || key === '*' ? without(item, rest) : item));
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return value;
  return { ...value, [key]: without(value[key] ?? null, rest) };
}
