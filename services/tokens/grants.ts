import { KosError } from '#core/errors.ts';
import type { Tokens } from '#schemas/people.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { hashRandomToken, newRandomToken } from '#services/identity/random-token.ts';
import { recordAudit } from '#services/records/record.ts';
import type { AccessTokens } from './access-tokens.ts';

/** A line of refresh tokens ends after this whatever happens, in days. */
const grantDays = 30;

export interface GrantHolder {
  principalId: string;
  workspaceId: string;
}

/** What a sign-in with `tokens: true` gives: an access token, and the first refresh token of a new line. */
export async function openGrant({ sql: system }: SystemDatabase, tokens: AccessTokens, holder: GrantHolder): Promise<Tokens> {
  const { principalId, workspaceId } = holder;
  const grantId = newId('grant');
  const refreshToken = await system.begin(async (sql) => {
    await sql`
      insert into kos.grants (id, principal_id, workspace_id, expires_at)
      values (${grantId}, ${principalId}, ${workspaceId}, clock_timestamp() + make_interval(days => ${grantDays}))`;
    await recordAudit(sql, [{ workspaceId, actor: principalId, action: 'grant.open', subject: grantId, data: {} }]);
    return addRefreshToken(sql, grantId);
  });
  return answer(tokens, { ...holder, grantId }, refreshToken);
}

async function addRefreshToken(sql: TransactionSql, grantId: string): Promise<string> {
  const { token, tokenHash } = newRandomToken();
  await sql`insert into kos.refresh_tokens (token_hash, grant_id) values (${tokenHash}, ${grantId})`;
  return token;
}

async function answer(tokens: AccessTokens, grant: GrantHolder & { grantId: string }, refreshToken: string): Promise<Tokens> {
  const { principalId, workspaceId, grantId } = grant;
  const issued = await tokens.issue({ principalId, workspaceId, sourceId: grantId, scopes: null });
  return { ...issued, tokenType: 'Bearer', refreshToken };
}

interface PresentedRow {
  grant_id: string;
  principal_id: string;
  workspace_id: string;
  used: boolean;
}

/**
 * The next pair of tokens for a refresh token, which is good once. One that comes back was stolen, or its thief's was: the whole line ends.
 * Throws KosError `refresh_refused` (401).
 */
export async function refreshGrant({ sql: system }: SystemDatabase, tokens: AccessTokens, refreshToken: string): Promise<Tokens> {
  const tokenHash = hashRandomToken(refreshToken);
  if (tokenHash === null) throw refreshRefused();
  // Answers null instead of throwing: that the line ended must be kept.
  const next = await system.begin(async (sql) => {
    const [presented] = await sql<PresentedRow[]>`
      select g.id as grant_id, g.principal_id, g.workspace_id, t.used_at is not null as used
      from kos.refresh_tokens t join kos.grants g on g.id = t.grant_id
        join kos.principals p on p.id = g.principal_id
        join kos.memberships m on m.principal_id = g.principal_id and m.workspace_id = g.workspace_id
      where t.token_hash = ${tokenHash} and g.revoked_at is null and g.expires_at > clock_timestamp() and p.disabled_at is null and not m.disabled
      for update of t, g`;
    if (presented === undefined) return null;
    const grant = { grantId: presented.grant_id, principalId: presented.principal_id, workspaceId: presented.workspace_id };
    if (presented.used) {
      await endGrant(sql, grant, 'reuse');
      return null;
    }
    await sql`update kos.refresh_tokens set used_at = clock_timestamp() where token_hash = ${tokenHash}`;
    return { grant, token: await addRefreshToken(sql, grant.grantId) };
  });
  if (next === null) throw refreshRefused();
  return answer(tokens, next.grant, next.token);
}

async function endGrant(sql: TransactionSql, grant: GrantHolder & { grantId: string }, because: 'logout' | 'reuse'): Promise<void> {
  await sql`
    update kos.grants set revoked_at = clock_timestamp(), revoked_because = ${because} where id = ${grant.grantId} and revoked_at is null`;
  const { workspaceId, principalId, grantId } = grant;
  await recordAudit(sql, [{ workspaceId, actor: because === 'reuse' ? 'kos' : principalId, action: 'grant.end', subject: grantId, data: { because } }]);
}

/** Signs out: the access token that was shown, and its whole line. */
export const closeGrant = ({ sql: system }: SystemDatabase, grant: GrantHolder & { grantId: string }): Promise<void> =>
  system.begin((sql) => endGrant(sql, grant, 'logout'));

const refreshRefused = (): KosError =>
  new KosError({
    code: 'refresh_refused',
    message: 'The refresh token is not good: it was used already, has expired, or was taken back.',
    fix: 'Sign in again: POST /v1/auth/login',
    status: 401,
  });
