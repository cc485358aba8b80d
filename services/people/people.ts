import { KosError } from '#core/errors.ts';
import { isRole } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { Person } from '#schemas/people.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { decodeCursor, type Page, pageOf } from '#services/paging/page.ts';
import { recordForPerson } from './record-for-person.ts';
import { markForRenewal, revokeOtherSessions } from './sessions.ts';

interface PersonRow {
  id: string;
  name: string;
  login: string | null;
  installation_role: 'owner' | null;
  disabled: boolean;
  workspaces: { id: string; slug: string; roles: string[] }[];
}

const showPerson = (row: PersonRow): Person => ({
  id: row.id,
  name: row.name,
  login: row.login,
  installationRole: row.installation_role,
  disabled: row.disabled,
  workspaces: row.workspaces.map(({ id, slug, roles }) => ({ id, slug, roles: roles.filter(isRole) })),
});

const selectPeople = (sql: SystemDatabase['sql'] | TransactionSql) => sql`
  select p.id, p.name, p.login, p.installation_role, p.disabled_at is not null as disabled,
    coalesce((select jsonb_agg(jsonb_build_object('id', w.workspace_id, 'slug', w.slug, 'roles', m.roles) order by w.slug)
      from kos.memberships m join kos.workspaces w on w.workspace_id = m.workspace_id where m.principal_id = p.id), '[]') as workspaces
  from kos.principals p`;

/** Everybody in this installation, whatever their workspaces: for its owner. */
export async function listPeople({ sql }: SystemDatabase, page: { cursor: string | null; limit: number }): Promise<Page<Person>> {
  const after = page.cursor === null ? '' : String(decodeCursor(page.cursor, ['string'])[0]);
  const rows = await sql<PersonRow[]>`${selectPeople(sql)} where p.kind = 'user' and p.id > ${after} order by p.id limit ${page.limit + 1}`;
  return pageOf(rows, page.limit, showPerson, (row) => [row.id]);
}

/** A disabled person is out everywhere within 5 s. Throws KosError `person_not_found`, `last_owner` (409). */
export function changePerson(
  { sql: system }: SystemDatabase,
  { principalId: actor }: Principal,
  personId: string,
  change: { disabled?: boolean | undefined; installationRole?: 'owner' | null | undefined },
): Promise<Person> {
  return system.begin(async (sql) => {
    await sql`lock table kos.principals in share row exclusive mode`;
    const before = await readPerson(sql, personId);
    const disabled = change.disabled ?? before.disabled;
    const installationRole = change.installationRole === undefined ? before.installationRole : change.installationRole;
    await sql`
      update kos.principals set installation_role = ${installationRole},
        disabled_at = case when ${disabled} then coalesce(disabled_at, clock_timestamp()) end
      where id = ${personId}`;
    await assertOwnersLeft(sql);
    if (disabled) await revokeAll(sql, personId);
    else await markForRenewal(sql, personId);
    await recordForPerson(sql, { principalId: personId, actor, action: 'person.change', subject: personId, data: { disabled, installationRole } });
    return readPerson(sql, personId);
  });
}

async function readPerson(sql: TransactionSql, personId: string): Promise<Person> {
  const [row] = await sql<PersonRow[]>`${selectPeople(sql)} where p.kind = 'user' and p.id = ${personId}`;
  if (row === undefined) throw new KosError({ code: 'person_not_found', message: `There is no person ${personId}.`, fix: 'kai member people', status: 404 });
  return showPerson(row);
}

async function revokeAll(sql: TransactionSql, principalId: string): Promise<void> {
  await revokeOtherSessions(sql, principalId, null);
  await sql`
    update kos.grants set revoked_at = clock_timestamp(), revoked_because = 'revoked' where principal_id = ${principalId} and revoked_at is null`;
}

/** Somebody must own the installation, and each of its workspaces. */
async function assertOwnersLeft(sql: TransactionSql): Promise<void> {
  const [owner] = await sql`select 1 from kos.principals where installation_role = 'owner' and disabled_at is null limit 1`;
  const orphans = await sql<{ slug: string }[]>`
    select w.slug from kos.workspaces w where exists (select 1 from kos.memberships m where m.workspace_id = w.workspace_id) and not exists (
      select 1 from kos.memberships m join kos.principals p on p.id = m.principal_id
      where m.workspace_id = w.workspace_id and m.roles ? 'owner' and not m.disabled and p.disabled_at is null) limit 5`;
  if (owner !== undefined && orphans.length === 0) return;
  const what = owner === undefined ? 'this installation' : `the workspace ${orphans.map(({ slug }) => slug).join(', ')}`;
  throw new KosError({ code: 'last_owner', message: `That would leave ${what} without an owner.`, fix: 'Make somebody else an owner first.', status: 409 });
}
