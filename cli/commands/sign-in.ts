import { spawn } from 'node:child_process';
import type { Command } from 'commander';
import type { Invocation } from '../invocation.ts';
import { describeFields } from '../show-value.ts';
import { describeInstant } from '../times.ts';

export function defineOpen(open: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  open
    .option('--print', 'only print the link')
    .addHelpText('after', '\nThe link is good once, for 15 minutes, and is kept nowhere. Only the owner’s local key (cli.json in KOS_HOME) can make one.')
    .action(async (options: { print?: true }) => {
      const link = await client.makeSignInLink();
      if (output.json) output.document(link);
      else output.data(link.url);
      output.say(`It signs you in, once, ${describeInstant(link.expiresAt, Date.now()).replace(/^in /, 'within ')}.`);
      if (options.print !== true && output.terminal.data && output.terminal.talk) openBrowser(link.url);
    });
}

/** The link is on the screen already: that no browser can be opened here is no fault. */
function openBrowser(url: string): void {
  const [program, ...before]: [string, ...string[]] =
    process.platform === 'darwin' ? ['open'] : process.platform === 'win32' ? ['rundll32', 'url.dll,FileProtocolHandler'] : ['xdg-open'];
  spawn(program, [...before, url], { stdio: 'ignore', detached: true })
    .on('error', () => undefined)
    .unref();
}

export function defineLogin(login: Command, invocation: Invocation): void {
  login
    .requiredOption('--url <url>', 'the server, as its people reach it')
    .option('--login <login>', 'what you sign in as; asked for when it is not given')
    .option('--workspace <slug>', 'the workspace to work in; needed where you belong to several')
    .option('--with-key', 'read an API key from standard input instead of asking for a password')
    .addHelpText(
      'after',
      '\nThe password comes from a hidden prompt or from standard input, never from the command line. It makes an API key for kai, good for 90 days.',
    )
    .action(async (options: { url: string; login?: string; workspace?: string; withKey?: true }) => {
      const { logIn } = await import('../sign-in.ts');
      await logIn(invocation, options);
    });
}

export function defineLogout(logout: Command, invocation: Invocation): void {
  logout.action(async () => {
    const { logOut } = await import('../sign-in.ts');
    await logOut(invocation);
  });
}

export function defineWhoami(whoami: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  whoami
    .option('--permissions', 'list what may be done, too')
    .option('--may <permission>', 'whether this may be done, and if not, why and who can help')
    .action(async (options: { permissions?: true; may?: string }) => {
      if (options.may !== undefined) return tellWhetherAllowed(invocation, options.may);
      const me = await client.me();
      if (output.json) {
        output.document(me);
        return;
      }
      const url = await client.transport.address();
      output.data(
        describeFields([
          ['name', me.principal.name],
          ['login', me.login],
          ['id', me.principal.id],
          ['server', url],
          ['workspace', me.workspace === null ? 'none' : `${me.workspace.slug} (${me.workspace.id})`],
          ['roles', me.roles.join(', ')],
          ['by', me.via.replaceAll('_', ' ')],
          ['scopes', me.scopes?.join(' ')],
          ['owns', me.installationRole === 'owner' ? 'the installation' : null],
          ['may', options.permissions === true ? me.permissions.join('\n') : null],
        ]),
      );
    });
}

async function tellWhetherAllowed({ client, output }: Invocation, action: string): Promise<void> {
  const verdict = await client.mayI(action);
  if (output.json) output.document(verdict);
  else
    output.data(
      [verdict.allowed ? 'yes' : 'no', verdict.message, verdict.fix, verdict.administrators.length > 0 ? `Ask: ${verdict.administrators.join(', ')}` : null]
        .filter((line) => line !== null)
        .join('\n'),
    );
}
