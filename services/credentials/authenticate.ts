import { createHash } from 'node:crypto';
import { KosError } from '#core/errors.ts';
import { permissionsOf } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import { hashApiKey, parseApiKey } from '#services/identity/api-key.ts';
import { hashRandomToken } from '#services/identity/random-token.ts';
import { findSession, isSessionOpen, renewSession } from '#services/people/sessions.ts';
import type { AccessClaims, AccessTokens } from '#services/tokens/access-tokens.ts';
import { findPersonInWorkspaces, findPrincipalByGrant, findPrincipalByKeyHash, findPrincipalByKeyId } from './rights.ts';

/** How a request of a session says which workspace it means. */
export interface WorkspaceChoice {
  /** `Kos-Workspace`, or `?workspace=` on streams; null: not said. */
  wanted: string | null;
  /** The request is about the person: it needs no workspace. */
  optional: boolean;
}

export interface SignedIn {
  principal: Principal;
  /** The session's new token, to be set as its cookie; null: it keeps the one it has. */
  newToken: string | null;
}

export interface Authenticator {
  /** An API key or an access token. Null: not valid. What is revoked is refused 5 s later at most. */
  authenticateBearer(credential: string): Promise<Principal | null>;
  /** A session's cookie. Null: not valid. Throws KosError `workspace_required` (400), `workspace_refused` (403). */
  authenticateSession(cookie: string, choice: WorkspaceChoice): Promise<SignedIn | null>;
  /** The same credential as it is this moment, for what is open longer. Null: it is good no longer. */
  again(principal: Principal): Promise<Principal | null>;
  /** Forgets what is remembered of somebody whose rights or credentials were just changed here; other replicas notice within 3 s. */
  forget(principalId: string): void;
}

const freshForMs = 3_000;
const mostKnown = 1_000;

/**
 * Remembers valid credentials, by hash, for 3 s. Invalid ones are looked up each time, so that nobody can fill the memory with guesses.
 */
export function createAuthenticator(dependencies: { system: SystemDatabase; tokens: AccessTokens; now: () => number }): Authenticator {
  const { system, tokens, now } = dependencies;
  const known = new Map<string, { principals: Principal[]; until: number }>();

  const remembered = async (name: string, find: () => Promise<Principal[]>): Promise<Principal[]> => {
    const fresh = known.get(name);
    if (fresh !== undefined && now() < fresh.until) return fresh.principals;
    known.delete(name);
    const principals = await find();
    if (principals.length === 0) return principals;
    if (known.size >= mostKnown) known.clear();
    known.set(name, { principals, until: now() + freshForMs });
    return principals;
  };

  const byKey = async (apiKey: string): Promise<Principal | null> => {
    const secretHash = hashApiKey(apiKey);
    const [principal] = await remembered(`key ${Buffer.from(secretHash).toString('base64')}`, async () =>
      listOf(await findPrincipalByKeyHash(system, secretHash)),
    );
    return principal ?? null;
  };

  const byToken = async (text: string): Promise<Principal | null> => {
    const claims = await tokens.verify(text);
    if (claims === null) return null;
    const name = `token ${createHash('sha256').update(text).digest('base64')}`;
    const [principal] = await remembered(name, async () => listOf(await findByClaims(system, claims)));
    return principal ?? null;
  };

  return {
    authenticateBearer: (credential) => (parseApiKey(credential) === null ? byToken(credential) : byKey(credential)),

    async authenticateSession(cookie, choice) {
      const tokenHash = hashRandomToken(cookie);
      if (tokenHash === null) return null;
      let newToken: string | null = null;
      const everywhere = await remembered(`session ${tokenHash.toString('base64')}`, async () => {
        const session = await findSession(system, tokenHash);
        if (session === null) return [];
        if (session.renew) newToken = await renewSession(system, session.sessionId);
        return findPersonInWorkspaces(system, session);
      });
      return everywhere.length === 0 ? null : { principal: chooseWorkspace(everywhere, choice), newToken };
    },

    forget(principalId) {
      for (const [name, { principals }] of known) if (principals[0]?.principalId === principalId) known.delete(name);
    },

    async again(principal) {
      switch (principal.via) {
        case 'owner_key':
        case 'api_key':
          return findPrincipalByKeyId(system, principal.credentialId);
        case 'token':
          return findByClaims(system, { ...principal, sourceId: principal.credentialId, scopes: principal.scopes === null ? null : [...principal.scopes] });
        case 'session': {
          const { credentialId: sessionId, principalId, workspaceId } = principal;
          if (!(await isSessionOpen(system, sessionId))) return null;
          const everywhere = await findPersonInWorkspaces(system, { sessionId, principalId });
          return everywhere.find((candidate) => candidate.workspaceId === workspaceId) ?? null;
        }
      }
    },
  };
}

const listOf = (principal: Principal | null): Principal[] => (principal === null ? [] : [principal]);

/** A token is worth what its grant or its key is worth now, narrowed once more by its own scopes. */
async function findByClaims(system: SystemDatabase, claims: AccessClaims): Promise<Principal | null> {
  const isOfGrant = claims.sourceId.startsWith('grt_');
  const source = isOfGrant ? await findPrincipalByGrant(system, claims.sourceId) : await findPrincipalByKeyId(system, claims.sourceId);
  if (source === null || source.principalId !== claims.principalId || source.workspaceId !== claims.workspaceId) return null;
  const scopes = narrower(source.scopes, claims.scopes);
  const { roles, installationRole } = source;
  return { ...source, via: 'token', scopes, permissions: permissionsOf({ via: 'token', scopes, roles, installationRole }) };
}

function narrower(left: readonly string[] | null, right: readonly string[] | null): readonly string[] | null {
  if (left === null || right === null) return left ?? right;
  return left.filter((scope) => right.includes(scope));
}

function chooseWorkspace(everywhere: Principal[], { wanted, optional }: WorkspaceChoice): Principal {
  const [first] = everywhere;
  if (first === undefined) throw new Error('Nobody is signed in.');
  if (wanted !== null) {
    const chosen = everywhere.find(({ workspaceId }) => workspaceId === wanted);
    if (chosen === undefined) throw workspaceRefused();
    return chosen;
  }
  if (everywhere.length === 1 || optional) return first;
  throw new KosError({
    code: 'workspace_required',
    message: 'You belong to several workspaces, and this request does not say which one it means.',
    fix: 'Send Kos-Workspace: ws_… (?workspace= on streams). GET /v1/workspaces lists yours.',
    status: 400,
  });
}

/** The same whether it exists or not. */
export const workspaceRefused = (): KosError =>
  new KosError({
    code: 'workspace_refused',
    message: 'Your credential does not belong to the workspace that Kos-Workspace names.',
    fix: 'GET /v1/workspaces lists yours. A key or token belongs to one workspace.',
    status: 403,
  });
