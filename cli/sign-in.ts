import { mkdir, open, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { KosError } from '#core/errors.ts';
import type { Key, MadeKey, Workspace } from '#schemas/people.ts';
import { createClient, type Me, type Page } from './client.ts';
import { loginFilePath, readKeyFile } from './credentials.ts';
import { usageFault } from './faults.ts';
import type { Invocation } from './invocation.ts';
import { openSession } from './own-session.ts';
import { createTransport, type Transport } from './transport.ts';

/** A key for kai on one machine: whoever loses the machine loses it after that, in days. */
const keyDays = 90;

export interface LoginOptions {
  url: string;
  login?: string;
  workspace?: string;
  withKey?: true;
}

/** Signs in with a password, makes a key with all that the person may do, and keeps that; the password and the session are gone again. */
export async function logIn(invocation: Invocation, options: LoginOptions): Promise<void> {
  const { output } = invocation;
  const url = assertUrl(options.url);
  const key = options.withKey === true ? { apiKey: await readLine(), id: undefined } : await makeKeyByPassword(invocation, url, options);
  const me = await createClient(async () => ({ url, apiKey: key.apiKey })).me();
  const path = loginFilePath((await invocation.configuration()).home);
  await writePrivate(path, { url, apiKey: key.apiKey, ...(key.id === undefined ? {} : { keyId: key.id }) });
  if (output.json) output.document({ url, principal: me.principal, workspace: me.workspace, keyId: key.id ?? null });
  else output.say(`kai works at ${url} as ${me.principal.name}, in the workspace ${me.workspace?.slug ?? '(none)'}. Back to this installation: kai logout`);
}

export async function logOut(invocation: Invocation): Promise<void> {
  const { output } = invocation;
  const path = loginFilePath((await invocation.configuration()).home);
  const file = await readKeyFile(path);
  if (file === null) throw usageFault('kai is not signed in to another server.', 'Sign in: kai login --url URL');
  if (file.keyId !== undefined) await revokeAtServer(invocation, file.url, file.apiKey, file.keyId);
  await rm(path);
  if (output.json) output.document({ url: file.url, signedOut: true });
  else output.say(`Signed out of ${file.url}.`);
}

/** A server that is gone, or a key that is, keeps nobody signed in here. */
async function revokeAtServer({ output }: Invocation, url: string, apiKey: string, keyId: string): Promise<void> {
  try {
    await createClient(async () => ({ url, apiKey })).keys.revoke(keyId);
  } catch (error) {
    if (!(error instanceof KosError)) throw error;
    output.say(`The key ${keyId} could not be revoked (${error.message}) It ends by itself after ${keyDays} days.`);
  }
}

function assertUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) throw usageFault(`"${text}" is no address of a server.`, 'kai login --url https://kos.example.com');
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (url.protocol === 'http:' && !isLocal) throw usageFault(`${text} is not encrypted: a password would travel in clear.`, 'Use the https address.');
  return text.replace(/\/+$/, '');
}

async function makeKeyByPassword(invocation: Invocation, url: string, options: LoginOptions): Promise<{ apiKey: string; id: string }> {
  const { login, password } = await askForPassword(invocation, options.login);
  const credentials = await openSession(url, { login, password });
  const session = createTransport(async () => credentials);
  const workspace = await chooseWorkspace(session, options.workspace);
  const inWorkspace = { 'kos-workspace': workspace.id };
  const me = await read<Me>(session, '/v1/me', inWorkspace);
  const scopes = me.permissions.filter((permission) => permission !== 'self:secure');
  const answer = await session.send({
    method: 'POST',
    path: '/v1/keys',
    json: { name: `kai on ${hostname()}`.slice(0, 100), scopes, expiresInDays: keyDays },
    headers: inWorkspace,
  });
  const made = (await answer.response.json()) as MadeKey;
  await session.send({ method: 'POST', path: '/v1/auth/logout', json: {} });
  return { apiKey: made.apiKey, id: (made satisfies Key).id };
}

async function chooseWorkspace(session: Transport, slug: string | undefined): Promise<Workspace> {
  const { items } = await read<Page<Workspace>>(session, '/v1/workspaces', {});
  const fitting = items.filter((item) => slug === undefined || item.slug === slug);
  const [only] = fitting;
  if (only !== undefined && fitting.length === 1) return only;
  const yours = items.map((item) => item.slug).join(', ') || 'none';
  throw usageFault(
    slug === undefined ? `You belong to several workspaces, or to none: ${yours}.` : `You do not belong to ${slug}; yours: ${yours}.`,
    'Name one: --workspace SLUG',
  );
}

async function read<T>(session: Transport, path: string, headers: Record<string, string>): Promise<T> {
  const answer = await session.send({ method: 'GET', path, headers });
  return (await answer.response.json()) as T;
}

async function askForPassword({ output }: Invocation, given: string | undefined): Promise<{ login: string; password: string }> {
  if (!output.terminal.input || !output.terminal.talk) {
    if (given === undefined) throw usageFault('Nobody can be asked here: this is no terminal.', 'Give --login, and the password on standard input.');
    return { login: given, password: await readLine() };
  }
  const { input, password } = await import('@inquirer/prompts');
  const login = given ?? (await input({ message: 'Login:' }, { output: process.stderr }));
  return { login, password: await password({ message: 'Password (hidden):', mask: false }, { output: process.stderr }) };
}

/** Standard input without the line end that `echo` and editors add. */
const readLine = async (): Promise<string> => (await text(process.stdin)).replace(/\r?\n$/, '');

/** Whole or not at all, and never readable by others. */
async function writePrivate(path: string, content: object): Promise<void> {
  // kai may work on a machine where kOS itself was never started.
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.draft`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(content, null, 2)}\n`);
  } finally {
    await file.close();
  }
  await rename(draft, path);
}
