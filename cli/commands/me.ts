import type { Command } from 'commander';
import type { JsonObject, Json } from '#schemas/json.ts';
import { usageFault } from '../faults.ts';
import { parseJsonText, readTextFile } from '../input-files.ts';
import type { Invocation } from '../invocation.ts';
import { showPage } from '../lists.ts';
import { asMyself, createSecrets } from '../own-session.ts';
import { resolveSessionId } from '../short-ids.ts';
import { visibleLine } from '../terminal-text.ts';
import { describeInstant } from '../times.ts';

const withoutKey =
  '\nNo key or token may do this: it would let a program become you. The owner’s local key may; anybody else is asked for their password, which\nstandard input may hold instead, and is signed in for this one command.';

export function defineMe(me: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  me.command('rename')
    .summary('how others see you')
    .argument('<name>', 'your name')
    .action(async (name: string) => {
      const profile = await client.rename(name);
      if (output.json) output.document(profile);
      else output.say(`You are ${visibleLine(profile.name)} now.`);
    });
  definePreferences(me.command('preferences').summary('what your clients keep for you; kOS reads nothing from it'), invocation);
  me.command('sessions')
    .summary('where you are signed in')
    .addHelpText('after', withoutKey)
    .action(async () => {
      const now = Date.now();
      const page = await asMyself(invocation, createSecrets(invocation, 'your password'), (myself) => myself.client.sessions.list());
      showPage(invocation, page, {
        headings: ['ID', 'SIGNED IN', 'BY', 'USED', 'ENDS', 'WITH', ''],
        row: (session) => [
          session.id,
          describeInstant(session.createdAt, now),
          session.method,
          describeInstant(session.lastSeenAt, now),
          describeInstant(session.expiresAt, now),
          session.userAgent,
          session.current ? 'this command’s' : '',
        ],
        empty: 'You are signed in nowhere.',
      });
    });
  me.command('end-session')
    .summary('sign yourself out somewhere, open streams included')
    .argument('<session>', 'its id, or a unique part of it')
    .addHelpText('after', withoutKey)
    .action(async (given: string) => {
      const id = await asMyself(invocation, createSecrets(invocation, 'your password'), async (myself) => {
        const found = await resolveSessionId(myself.client, given);
        await myself.client.sessions.end(found);
        return found;
      });
      if (output.json) output.document({ id, ended: true });
      else output.say(`Ended ${id}.`);
    });
  me.command('password')
    .summary('set your password; every other session and token of yours ends')
    .option('--login <login>', 'what to sign in as from now on, usually an e-mail address; needed where you have none')
    .addHelpText('after', `${withoutKey}\nOn standard input: the password you have, where you have one, and on the next line the new one.`)
    .action(async (options: { login?: string }) => {
      await setPassword(invocation, options);
    });
}

async function setPassword(invocation: Invocation, options: { login?: string }): Promise<void> {
  const { output } = invocation;
  const secrets = createSecrets(invocation, 'the password you have, where you have one, and the new one');
  const profile = await asMyself(invocation, secrets, async ({ client, password }) => {
    const asked = (await secrets.left()) === null;
    // The owner's local key has no password behind it, but the owner may have one.
    const mayHaveOne = password === null && (asked || (await secrets.left()) === 2);
    const current = password ?? (mayHaveOne ? await secrets.next('Your password up to now (hidden; none: Enter):') : '');
    const wanted = await secrets.next('New password (hidden):');
    if (asked && (await secrets.next('Once more (hidden):')) !== wanted) throw usageFault('The two are not equal: nothing was changed.');
    return await client.setPassword({ password: wanted, ...(current === '' ? {} : { currentPassword: current }), ...options });
  });
  if (output.json) output.document(profile);
  else output.say(`${profile.login ?? profile.name} has a new password; every other session and token has ended.`);
}

function definePreferences(preferences: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  const replace = async (value: JsonObject, etag: string | null): Promise<void> => output.document(await client.preferences.replace(value, etag));
  preferences.action(async () => {
    output.document((await client.preferences.get()).value);
  });
  preferences
    .command('set')
    .summary('set one of them')
    .argument('<name>', 'e.g. theme')
    .argument('<value>', 'JSON; else a text as it is')
    .action(async (name: string, value: string) => {
      const { value: before, etag } = await client.preferences.get();
      await replace({ ...before, [name]: jsonOrText(value) }, etag);
    });
  preferences
    .command('unset')
    .summary('remove one of them')
    .argument('<name>', 'e.g. theme')
    .action(async (name: string) => {
      const { value: before, etag } = await client.preferences.get();
      const { [name]: removed, ...others } = before;
      if (removed === undefined) throw usageFault(`You have no preference ${name}.`, 'See them: kai me preferences');
      await replace(others, etag);
    });
  preferences
    .command('replace')
    .summary('replace all of them')
    .argument('<file>', 'a JSON object; - for standard input')
    .action(async (path: string) => {
      const value = parseJsonText(await readTextFile(path, output), path);
      if (typeof value !== 'object' || value === null || Array.isArray(value)) throw usageFault(`${path} is no JSON object.`);
      await replace(value as JsonObject, null);
    });
}

function jsonOrText(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text; // what people type: dark, not "dark"
  }
}
