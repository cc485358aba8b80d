import { type Command, InvalidArgumentError, Option } from 'commander';
import { grantedByNameOnly, neverForPrograms, permissionsOfRoles, type Role, roles } from '#core/policy/permissions.ts';
import { usageFault } from '../faults.ts';
import type { Invocation } from '../invocation.ts';
import { addListOptions, collect, type ListOptions, showPage } from '../lists.ts';
import { resolveKeyId } from '../short-ids.ts';
import { describeInstant } from '../times.ts';

export function defineKey(key: Command, invocation: Invocation): void {
  addListOptions(key.command('list').summary('keys that are good: yours, or everybody’s for who manages members')).action(async (options: ListOptions) => {
    const now = Date.now();
    showPage(invocation, await invocation.client.keys.list({ ...options }), {
      headings: ['ID', 'KEY', 'NAME', 'OWNER', 'SCOPES', 'USED', 'EXPIRES'],
      row: (item) => [
        item.id,
        item.publicId === null ? '' : `kos_${item.publicId}_…`,
        item.name,
        item.ownerName,
        item.scopes?.join(' ') ?? 'all (local key)',
        item.lastUsedAt === null ? 'never' : describeInstant(item.lastUsedAt, now),
        item.expiresAt === null ? 'never' : describeInstant(item.expiresAt, now),
      ],
      empty: 'No key. Make one: kai key create NAME --role operator',
    });
  });
  key
    .command('create')
    .summary('make a key; it is printed this once')
    .argument('<name>', 'what to call it, e.g. where it is used')
    .option('--scope <permission>', 'what it may do, e.g. runs:start (repeat for several)', collect)
    .addOption(new Option('--role <role>', 'all that this role may do and a key may have').choices(roles))
    .option('--expires-in-days <days>', 'until when it is good; without: until it is revoked', parseDays)
    .addHelpText(
      'after',
      '\nDeciding approvals, setting rules that approve and managing members must be named: --scope approvals:decide\nExample: kai key create ci --scope runs:start --scope runs:read --expires-in-days 90',
    )
    .action(async (name: string, options: { scope?: string[]; role?: Role; expiresInDays?: number }) => {
      await create(invocation, name, options);
    });
  key
    .command('revoke')
    .summary('end a key, everywhere and within seconds')
    .argument('<id>', 'its id')
    .action(async (given: string) => {
      const id = await resolveKeyId(invocation.client, given);
      await invocation.client.keys.revoke(id);
      if (invocation.output.json) invocation.output.document({ id, revoked: true });
      else invocation.output.say(`Revoked ${id}.`);
    });
}

function parseDays(text: string): number {
  const days = Number(text);
  if (!Number.isInteger(days) || days < 1 || days > 3_650) throw new InvalidArgumentError('It must be a whole number from 1 to 3650.');
  return days;
}

/** What a program does not get of a role. */
const unnamed = new Set<string>([...grantedByNameOnly, ...neverForPrograms]);

async function create({ output, client }: Invocation, name: string, options: { scope?: string[]; role?: Role; expiresInDays?: number }): Promise<void> {
  const ofRole = options.role === undefined ? [] : [...permissionsOfRoles([options.role])].filter((scope) => !unnamed.has(scope));
  const scopes = [...new Set([...ofRole, ...(options.scope ?? [])])];
  if (scopes.length === 0)
    throw usageFault('A key may do what its scopes name, and none is given.', `kai key create ${name} --role operator, or --scope runs:start`);
  const made = await client.keys.create({ name, scopes, ...(options.expiresInDays === undefined ? {} : { expiresInDays: options.expiresInDays }) });
  if (output.json) {
    output.document(made);
    return;
  }
  output.data(made.apiKey);
  output.say(`This is the key ${made.id}, shown this once. It may: ${made.scopes?.join(', ') ?? ''}.`);
}
