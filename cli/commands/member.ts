import { type Command, Option } from 'commander';
import { KosError } from '#core/errors.ts';
import { roles } from '#core/policy/permissions.ts';
import { idPattern } from '#schemas/ids.ts';
import type { MadeLink } from '#schemas/people.ts';
import type { Page } from '../client.ts';
import { confirmed } from '../confirm.ts';
import { usageFault } from '../faults.ts';
import type { Invocation } from '../invocation.ts';
import { addListOptions, type ListOptions, showPage } from '../lists.ts';
import { resolveInvitationId } from '../short-ids.ts';
import { describeFields } from '../show-value.ts';
import { visibleLine } from '../terminal-text.ts';
import { describeInstant } from '../times.ts';

const roleOption = (): Option => new Option('--role <role...>', 'the roles to hold, all of them').choices(roles);

export function defineMember(member: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  addListOptions(member.command('list').summary('members of this workspace')).action(async (options: ListOptions) => {
    const now = Date.now();
    showPage(invocation, await client.members.list({ ...options }), {
      headings: ['ID', 'NAME', 'LOGIN', 'ROLES', '', 'JOINED'],
      row: (item) => [item.id, item.name, item.login ?? '', item.roles.join(', '), item.disabled ? 'disabled' : '', describeInstant(item.joinedAt, now)],
      empty: 'No member.',
    });
  });
  member
    .command('get')
    .summary('one member')
    .argument('<member>', 'id, login or name')
    .action(async (given: string) => {
      const found = await client.members.get(await resolvePerson(given, (query) => client.members.list(query)));
      if (output.json) output.document(found);
      else
        output.data(
          describeFields([
            ['name', found.name],
            ['login', found.login],
            ['id', found.id],
            ['roles', found.roles.join(', ')],
            ['state', found.disabled ? 'disabled' : null],
            ['joined', describeInstant(found.joinedAt, Date.now())],
          ]),
        );
    });
  member
    .command('set')
    .summary('give a member other roles, keep them out, or let them in again')
    .argument('<member>', 'id, login or name')
    .addOption(roleOption())
    .option('--disable', 'keep them out')
    .option('--enable', 'let them in again')
    .action(async (given: string, options: { role?: string[]; disable?: true; enable?: true }) => {
      const changed = await client.members.change(await resolvePerson(given, (query) => client.members.list(query)), changeOf(given, options));
      if (output.json) output.document(changed);
      else output.say(`${visibleLine(changed.name)}: ${changed.roles.join(', ')}${changed.disabled ? ', disabled' : ''}.`);
    });
  member
    .command('remove')
    .summary('remove a member; their keys and tokens here end')
    .argument('<member>', 'id, login or name')
    .option('--yes', 'do not ask')
    .action(async (given: string, options: { yes?: true }) => {
      const id = await resolvePerson(given, (query) => client.members.list(query));
      if (options.yes !== true && !(await confirmed(output, `Remove ${visibleLine(given)} from this workspace?`, 'Repeat with --yes.'))) return;
      await client.members.remove(id);
      if (output.json) output.document({ id, removed: true });
      else output.say(`Removed ${id}.`);
    });
  member
    .command('invite')
    .summary('a link by which somebody becomes a member; hand it over yourself')
    .argument('<login>', 'what they are to sign in as, usually an e-mail address')
    .addOption(roleOption().makeOptionMandatory())
    .action(async (login: string, options: { role: string[] }) => {
      showLink(invocation, await client.members.invite({ login, roles: options.role }), `Whoever opens it joins as ${login}`);
    });
  addListOptions(member.command('invitations').summary('invitations that can still be accepted')).action(async (options: ListOptions) => {
    const now = Date.now();
    showPage(invocation, await client.members.invitations({ ...options }), {
      headings: ['ID', 'LOGIN', 'ROLES', 'EXPIRES'],
      row: (item) => [item.id, item.login, item.roles.join(', '), describeInstant(item.expiresAt, now)],
      empty: 'No open invitation. Invite somebody: kai member invite LOGIN --role operator',
    });
  });
  member
    .command('uninvite')
    .summary('take an invitation back')
    .argument('<id>', 'the invitation')
    .action(async (given: string) => {
      const id = await resolveInvitationId(client, given);
      await client.members.uninvite(id);
      if (output.json) output.document({ id, revoked: true });
      else output.say(`Took ${id} back.`);
    });
  definePeople(member, invocation);
}

/** What reaches beyond this workspace: for the installation's owner. */
function definePeople(member: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  const person = (given: string): Promise<string> => resolvePerson(given, (query) => client.people.list(query));
  addListOptions(member.command('people').summary('everybody in this installation, with their workspaces')).action(async (options: ListOptions) => {
    showPage(invocation, await client.people.list({ ...options }), {
      headings: ['ID', 'NAME', 'LOGIN', 'WORKSPACES', ''],
      row: (item) => [
        item.id,
        item.name,
        item.login ?? '',
        item.workspaces.map(({ slug, roles: held }) => `${slug} (${held.join(', ')})`).join('; '),
        [item.installationRole === 'owner' ? 'owns the installation' : '', item.disabled ? 'disabled' : ''].filter((word) => word !== '').join(', '),
      ],
      empty: 'Nobody.',
    });
  });
  for (const verb of ['disable', 'enable'] as const)
    member
      .command(verb)
      .summary(verb === 'disable' ? 'keep somebody out of every workspace, within seconds' : 'let somebody in again')
      .argument('<person>', 'id, login or name')
      .action(async (given: string) => {
        const changed = await client.people.change(await person(given), { disabled: verb === 'disable' });
        if (output.json) output.document(changed);
        else output.say(`${visibleLine(changed.name)} is ${changed.disabled ? 'disabled' : 'enabled'}.`);
      });
  member
    .command('owner')
    .summary('make somebody an owner of this installation, beyond every workspace')
    .argument('<person>', 'id, login or name')
    .option('--remove', 'take that back; one stays')
    .action(async (given: string, options: { remove?: true }) => {
      const changed = await client.people.change(await person(given), { installationRole: options.remove === true ? null : 'owner' });
      if (output.json) output.document(changed);
      else output.say(`${visibleLine(changed.name)} ${changed.installationRole === 'owner' ? 'owns the installation' : 'does not own the installation'} now.`);
    });
  member
    .command('reset')
    .summary('a link by which somebody sets a new password; hand it over yourself')
    .argument('<person>', 'id, login or name')
    .action(async (given: string) => {
      showLink(invocation, await client.people.reset(await person(given)), 'Whoever opens it sets a new password');
    });
}

function showLink({ output }: Invocation, link: MadeLink, what: string): void {
  if (output.json) {
    output.document(link);
    return;
  }
  output.data(link.url);
  output.say(`${what}, once, ${describeInstant(link.expiresAt, Date.now()).replace(/^in /, 'within ')}. It is shown this once.`);
}

function changeOf(given: string, options: { role?: string[]; disable?: true; enable?: true }): { roles?: string[]; disabled?: boolean } {
  if (options.disable === true && options.enable === true) throw usageFault('--disable and --enable contradict each other.');
  const change = {
    ...(options.role === undefined ? {} : { roles: options.role }),
    ...(options.disable === true ? { disabled: true } : options.enable === true ? { disabled: false } : {}),
  };
  if (Object.keys(change).length === 0) throw usageFault('Nothing is to be changed.', `kai member set ${given} --role operator approver`);
  return change;
}

interface Named {
  id: string;
  name: string;
  login: string | null;
}

type ListPeople = (query: { limit: number; cursor?: string }) => Promise<Page<Named>>;

/** By id, or by a login or name that only one of them has. */
async function resolvePerson(given: string, list: ListPeople): Promise<string> {
  if (idPattern('principal').test(given)) return given;
  const matches: Named[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<Named> = await list({ limit: 200, ...(cursor === null ? {} : { cursor }) });
    matches.push(...page.items.filter(({ id, name, login }) => id.endsWith(given) || name === given || login === given.toLowerCase()));
    cursor = page.nextCursor;
  } while (cursor !== null);
  const [only, ...others] = matches;
  if (only === undefined) throw new KosError({ code: 'not_found', message: `Nobody here is called "${given}".`, fix: 'kai member list', status: 404 });
  if (others.length > 0) throw usageFault(`"${given}" fits ${matches.length} people: ${matches.map(({ id }) => id).join(', ')}.`, 'Give the id.');
  return only.id;
}
