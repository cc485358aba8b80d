import type { OfferForm } from '#schemas/again.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { Offer } from './offers.ts';

/** The environment variable in which all forms expect the key: none of them holds one. */
const keyVariable = 'KOS_API_KEY';

/** A fresh `Idempotency-Key` each time that it is pasted, made of what every POSIX system has: `uuidgen` is not on all of them. */
export const freshKeyInShell = String.raw`$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')`;

/** An offer as something to copy. `functionName`: of its route, in the TypeScript client. */
export function snippetsOf(offer: Offer, { publicUrl, functionName }: { publicUrl: string; functionName: string }): Record<OfferForm, string> {
  return { kai: asKai(offer), curl: asCurl(offer, publicUrl), typescript: asTypeScript(offer, publicUrl, functionName) };
}

function asKai({ kai }: Offer): string {
  const words = ['kai', ...kai.words.map(shellWord)];
  if (kai.input === null || Object.keys(kai.input).length === 0) return words.join(' ');
  return `${words.join(' ')} --input-file - <<'JSON'\n${plainJson(kai.input)}\nJSON`;
}

function asCurl({ path, body, needsIdempotencyKey }: Offer, publicUrl: string): string {
  const lines = [
    `curl -X POST ${shellWord(`${publicUrl}${path}`)}`,
    `-H "Authorization: Bearer $${keyVariable}"`,
    ...(needsIdempotencyKey ? [`-H "Idempotency-Key: ${freshKeyInShell}"`] : []),
    `-H 'Content-Type: application/json'`,
    `--data ${shellWord(plainJson(body))}`,
  ];
  return lines.join(' \\\n  ');
}

function asTypeScript({ path, body, needsIdempotencyKey }: Offer, publicUrl: string, functionName: string): string {
  const id = /^\/v1\/runs\/([^/]+)\/replay$/.exec(path)?.[1];
  const parts = [
    'client',
    ...(id === undefined ? [] : [`path: { id: '${id}' }`]),
    `body: ${objectLiteral(body)}`,
    ...(needsIdempotencyKey ? [`headers: { 'Idempotency-Key': crypto.randomUUID() }`] : []),
  ];
  return [
    `import { ${functionName} } from '@kos/client';`,
    `import { createClient } from '@kos/client/client';`,
    '',
    `const client = createClient({ baseUrl: ${plainJson(publicUrl)}, auth: process.env.${keyVariable} });`,
    `const { data, error } = await ${functionName}({\n${parts.map((part) => `  ${part},\n`).join('')}});`,
    "if (error) throw new Error(`${error.code}: ${error.detail} ${error.fix ?? ''}`);",
    'console.log(data);',
  ].join('\n');
}

/** JSON in ASCII alone: nothing in it can move a terminal's cursor, or show itself as something else. */
const plainJson = (value: Json): string =>
  JSON.stringify(value).replaceAll(/[^\x20-\x7e]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** JSON is TypeScript, but for one key that an object literal takes for something else. */
const objectLiteral = (value: JsonObject): string => plainJson(value).replaceAll(/(?<=[{,])"__proto__":/g, '["__proto__"]:');

/** One word to a shell, whatever is in it. What cannot be seen is written as its bytes, which bash, zsh and POSIX of 2024 read. */
function shellWord(text: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(text)) return text;
  if (!/\p{C}|\p{Zl}|\p{Zp}/u.test(text)) return `'${text.replaceAll("'", String.raw`'\''`)}'`;
  const bytes = [...new TextEncoder().encode(text)].map((byte) => (isPlain(byte) ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`));
  return `$'${bytes.join('')}'`;
}

/** Printable ASCII without quote and backslash. A digit could lengthen the escape before it: \xHH has two at most, so it cannot. */
const isPlain = (byte: number): boolean => byte >= 0x20 && byte < 0x7f && byte !== 0x27 && byte !== 0x5c;
