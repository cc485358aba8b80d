import { text } from 'node:stream/consumers';
import { KosError } from '#core/errors.ts';
import { type Client, createClient } from './client.ts';
import type { Credentials } from './credentials.ts';
import { usageFault } from './faults.ts';
import type { Invocation } from './invocation.ts';
import type { Output } from './output.ts';
import { visibleLine } from './terminal-text.ts';
import { createTransport } from './transport.ts';

/** Speaks as a browser on the server's own pages would. */
export async function openSession(url: string, body: { login: string; password: string }): Promise<Credentials> {
  const { origin } = new URL(url);
  const anonymous = createTransport(async () => ({ url, apiKey: null, headers: { origin } }));
  const answer = await anonymous.send({ method: 'POST', path: '/v1/auth/login', json: body });
  const cookie = answer.headers.getSetCookie()[0]?.split(';')[0];
  if (cookie === undefined) throw new KosError({ code: 'not_kos', message: `${url} signed nobody in.`, fix: 'Check the address of the server.', status: 502 });
  return { url, apiKey: null, headers: { origin, cookie } };
}

export interface Myself {
  client: Client;
  /** The password that was asked for to be let in; null: the owner's local key is enough. */
  password: string | null;
}

/**
 * For what no key or token may do, because it would let a program become the person: their sessions, their password. The owner's local key may; anybody
 * else signs in with their password for this one command. `secrets`: what comes on standard input, or is asked for.
 */
export async function asMyself<T>(invocation: Invocation, secrets: Secrets, act: (myself: Myself) => Promise<T>): Promise<T> {
  const { client } = invocation;
  const me = await client.me();
  if (me.permissions.includes('self:secure')) return await act({ client, password: null });
  if (me.login === null)
    throw new KosError({
      code: 'password_missing',
      message: 'No key or token may see or end sessions, or set a password: it takes your own password, and you have no login to use one with.',
      fix: 'Sign in in a browser, or ask the owner of this installation for a link: kai member reset',
      status: 403,
    });
  const password = await secrets.next(`No key may do this. Password of ${me.login} (hidden):`);
  const session = await openSession(await client.transport.address(), { login: me.login, password });
  const inSession = createClient(async () => session);
  try {
    return await act({ client: inSession, password });
  } finally {
    await signOut(inSession, invocation.output);
  }
}

/** Never throws: what the command did, or why it failed, must be told, whatever becomes of its session. */
async function signOut(session: Client, output: Output): Promise<void> {
  try {
    await session.signOut();
  } catch (error) {
    // It has ended already: by this very command, or by somebody who was faster.
    if (error instanceof KosError && error.code === 'credential_refused') return;
    const why = visibleLine(error instanceof Error ? error.message : String(error));
    output.say(`warning: the session of this command may still be open: ${why} See it with kai me sessions, end it with kai me end-session ID.`);
  }
}

export interface Secrets {
  /** The next one: a line of standard input, or a hidden answer. */
  next(question: string): Promise<string>;
  /** How many lines are left where they come from standard input; null: somebody is asked. */
  left(): Promise<number | null>;
}

/** `what` says, where nobody can be asked, which lines standard input is to hold. */
export function createSecrets({ output }: Invocation, what: string): Secrets {
  const isAsked = output.terminal.input && output.terminal.talk;
  let lines: Promise<string[]> | null = null;
  const given = (): Promise<string[]> => (lines ??= text(process.stdin).then((whole) => whole.split(/\r?\n/).filter((line) => line !== '')));
  return {
    left: async () => (isAsked ? null : (await given()).length),
    next: async (question) => {
      if (isAsked) {
        const { password } = await import('@inquirer/prompts');
        return await password({ message: question, mask: false }, { output: process.stderr });
      }
      const line = (await given()).shift();
      if (line === undefined)
        throw usageFault('This takes more than a key, and nobody can be asked here: this is no terminal.', `Give on standard input, a line each: ${what}.`);
      return line;
    },
  };
}
