import { KosError } from '#core/errors.ts';
import type { Role } from '#core/policy/permissions.ts';
import type { MadeLink } from '#schemas/people.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { newRandomToken } from '#services/identity/random-token.ts';

export type LinkKind = 'sign_in' | 'invitation' | 'reset';

/** In minutes. Who signs in sits at the machine; who is invited or resets gets the link by hand, from somebody. */
const lifeMinutes: Record<LinkKind, number> = { sign_in: 15, invitation: 7 * 24 * 60, reset: 24 * 60 };

/** The page that spends each kind. Its token stands behind the `#`: browsers send it to nobody. */
const fragmentName: Record<LinkKind, string> = { sign_in: 'link', invitation: 'invitation', reset: 'reset' };

export type NewLink =
  | { kind: 'sign_in' | 'reset'; principalId: string; createdBy: string }
  | { kind: 'invitation'; workspaceId: string; login: string; roles: readonly Role[]; createdBy: string };

/** Only the hash of its token is kept: the address can be shown this once. */
export async function makeLink(sql: TransactionSql, publicUrl: string, link: NewLink): Promise<MadeLink> {
  const { token, tokenHash } = newRandomToken();
  const id = newId('link');
  const target =
    link.kind === 'invitation'
      ? { principalId: null, workspaceId: link.workspaceId, login: link.login, roles: sql.json([...link.roles]) }
      : { principalId: link.principalId, workspaceId: null, login: null, roles: null };
  const [row] = await sql<{ expires_at: Date }[]>`
    insert into kos.links (id, kind, token_hash, principal_id, workspace_id, login, roles, created_by, expires_at)
    values (${id}, ${link.kind}, ${tokenHash}, ${target.principalId}, ${target.workspaceId}, ${target.login}, ${target.roles}, ${link.createdBy},
      clock_timestamp() + make_interval(mins => ${lifeMinutes[link.kind]}))
    returning expires_at`;
  if (row === undefined) throw new Error('The database kept no link.');
  return { id, url: `${publicUrl}/sign-in#${fragmentName[link.kind]}=${token}`, expiresAt: row.expires_at.toISOString() };
}

interface LinkRow {
  id: string;
  kind: LinkKind;
  principal_id: string | null;
  workspace_id: string | null;
  login: string | null;
  roles: string[] | null;
  created_by: string;
}

/** A link that is good, by the hash of its token (null: no token was given), locked until the transaction ends. Throws KosError `link_refused` (401). */
export async function takeLink(sql: TransactionSql, kind: LinkKind, tokenHash: Buffer | null): Promise<LinkRow> {
  const [row] =
    tokenHash === null
      ? []
      : await sql<LinkRow[]>`
          select id, kind, principal_id, workspace_id, login, roles, created_by from kos.links
          where token_hash = ${tokenHash} and kind = ${kind} and spent_at is null and revoked_at is null and expires_at > clock_timestamp() for update`;
  if (row === undefined) throw linkRefused();
  return row;
}

/** In the transaction of what the link was for. */
export async function spendLink(sql: TransactionSql, linkId: string): Promise<void> {
  await sql`update kos.links set spent_at = clock_timestamp() where id = ${linkId}`;
}

export const linkRefused = (): KosError =>
  new KosError({
    code: 'link_refused',
    message: 'This link is not good: it was used already, has expired, or was taken back.',
    fix: 'Ask for a new one. The owner of this installation gets one by: kai open',
    status: 401,
  });
