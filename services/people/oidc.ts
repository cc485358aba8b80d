import * as openid from 'openid-client';
import { KosError } from '#core/errors.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { hashRandomToken, newRandomToken } from '#services/identity/random-token.ts';
import { findLogin, joinByInvitation, makePerson, type OpenInvitation, takeInvitation } from './invitations.ts';
import { linkRefused } from './links.ts';
import { recordForPerson } from './record-for-person.ts';
import { type OpenedSession, openSession } from './sessions.ts';

export interface OidcSettings {
  issuer: string;
  clientId: string;
  /** Undefined: a public client, which PKCE alone protects. */
  clientSecret: string | undefined;
  /** Where the provider sends people back to. */
  redirectUri: string;
}

export interface OidcService {
  /** Where to send the browser, and the secret that binds the flow to it. `invitation`: the token of one that it is to be spent for. */
  begin(start: { invitation: string | null; principalId: string | null }): Promise<{ url: string; browserToken: string }>;
  /** Ends a flow. Throws KosError `oidc_refused` (401), `no_account` (403), `link_refused` (401). */
  finish(callback: { url: URL; browserToken: string | undefined; userAgent: string | undefined }): Promise<OpenedSession>;
}

/** A sign-in that takes longer is begun anew, in minutes. */
const flowMinutes = 10;

/** The provider is asked about itself at the first sign-in, so that its absence keeps nothing else from starting. */
export function createOidcService(dependencies: { system: SystemDatabase; settings: OidcSettings }): OidcService {
  const { system, settings } = dependencies;
  let discovered: Promise<openid.Configuration> | null = null;
  const configuration = (): Promise<openid.Configuration> => {
    discovered ??= discover(settings).catch((cause: unknown) => {
      discovered = null;
      throw providerUnreachable(settings.issuer, cause);
    });
    return discovered;
  };
  return {
    async begin({ invitation, principalId }) {
      const provider = await configuration();
      const flow = { state: newRandomToken(), browser: newRandomToken(), nonce: openid.randomNonce(), codeVerifier: openid.randomPKCECodeVerifier() };
      const linkHash = invitation === null ? null : hashRandomToken(invitation);
      if (invitation !== null && linkHash === null) throw linkRefused();
      await system.sql`
        insert into kos.oidc_flows (state_hash, browser_hash, nonce, code_verifier, link_hash, principal_id, expires_at)
        values (${flow.state.tokenHash}, ${flow.browser.tokenHash}, ${flow.nonce}, ${flow.codeVerifier}, ${linkHash}, ${principalId},
          clock_timestamp() + make_interval(mins => ${flowMinutes}))`;
      const url = openid.buildAuthorizationUrl(provider, {
        redirect_uri: settings.redirectUri,
        scope: 'openid profile email',
        code_challenge: await openid.calculatePKCECodeChallenge(flow.codeVerifier),
        code_challenge_method: 'S256',
        state: flow.state.token,
        nonce: flow.nonce,
      });
      return { url: url.href, browserToken: flow.browser.token };
    },

    async finish({ url, browserToken, userAgent }) {
      const state = url.searchParams.get('state') ?? '';
      const flow = await takeFlow(system, state, browserToken ?? '');
      const identity = await exchange(await configuration(), url, state, flow);
      return system.sql.begin(async (sql) => {
        const principalId = await findPerson(sql, identity, flow);
        return openSession(sql, { principalId, method: 'oidc', userAgent });
      });
    },
  };
}

/** `http` is for a provider on this machine; anything else was refused with the configuration. */
function discover({ issuer, clientId, clientSecret }: OidcSettings): Promise<openid.Configuration> {
  const server = new URL(issuer);
  const options = server.protocol === 'http:' ? { execute: [openid.allowInsecureRequests] } : {};
  const authentication = clientSecret === undefined ? openid.None() : openid.ClientSecretBasic(clientSecret);
  return openid.discovery(server, clientId, clientSecret, authentication, options);
}

interface Flow {
  nonce: string;
  code_verifier: string;
  link_hash: Buffer | null;
  principal_id: string | null;
}

/** Good once, and in the browser that began it alone: nobody can be signed in as somebody else by a link. */
async function takeFlow({ sql }: SystemDatabase, state: string, browserToken: string): Promise<Flow> {
  const [stateHash, browserHash] = [hashRandomToken(state), hashRandomToken(browserToken)];
  if (stateHash === null || browserHash === null) throw refused('It was not begun in this browser.');
  const [flow] = await sql<Flow[]>`
    delete from kos.oidc_flows where state_hash = ${stateHash} and browser_hash = ${browserHash} and expires_at > clock_timestamp()
    returning nonce, code_verifier, link_hash, principal_id`;
  if (flow === undefined) throw refused('It was not begun in this browser, was ended already, or took too long.');
  return flow;
}

/** Who the provider says this is. */
interface ProvenIdentity {
  issuer: string;
  subject: string;
  name: string | undefined;
  /** Only when the provider has verified it. */
  email: string | undefined;
}

async function exchange(provider: openid.Configuration, url: URL, state: string, flow: Flow): Promise<ProvenIdentity> {
  const tokens = await openid
    .authorizationCodeGrant(provider, url, { pkceCodeVerifier: flow.code_verifier, expectedState: state, expectedNonce: flow.nonce, idTokenExpected: true })
    .catch((cause: unknown) => {
      throw refused('The provider did not confirm it.', cause);
    });
  const claims = tokens.claims();
  if (claims === undefined) throw refused('The provider gave no identity.');
  const { name, email, email_verified: isVerified } = await profileOf(provider, tokens.access_token, claims);
  return {
    issuer: claims.iss,
    subject: claims.sub,
    name: typeof name === 'string' && name !== '' ? name.slice(0, 100) : undefined,
    email: isVerified === true && typeof email === 'string' ? email.toLowerCase() : undefined,
  };
}

/** Some providers tell name and address in the ID token, the strict ones at their userinfo endpoint only (OpenID Connect Core §5.4). */
async function profileOf(provider: openid.Configuration, accessToken: string, claims: openid.IDToken): Promise<Record<string, unknown>> {
  if (claims['email'] !== undefined || provider.serverMetadata().userinfo_endpoint === undefined) return claims;
  return openid.fetchUserInfo(provider, accessToken, claims.sub).catch((cause: unknown) => {
    throw refused('The provider did not tell whose it is.', cause);
  });
}

/** Issuer and subject say who somebody is. An e-mail address never does by itself: anybody may claim one at some provider. */
async function findPerson(sql: TransactionSql, identity: ProvenIdentity, flow: Flow): Promise<string> {
  const known = await findByIdentity(sql, identity);
  const invitation = flow.link_hash === null ? null : await takeInvitation(sql, flow.link_hash);
  if (flow.principal_id !== null && known === null) await addIdentity(sql, identity, flow.principal_id);
  const principalId = known ?? flow.principal_id ?? (invitation === null ? null : await newcomer(sql, identity, invitation));
  if (principalId === null) throw noAccount();
  if (invitation !== null) await joinByInvitation(sql, invitation, principalId);
  const [active] = await sql`select 1 from kos.principals where id = ${principalId} and disabled_at is null`;
  if (active === undefined) throw noAccount();
  return principalId;
}

async function findByIdentity(sql: TransactionSql, { issuer, subject }: ProvenIdentity): Promise<string | null> {
  const [row] = await sql<{ principal_id: string }[]>`select principal_id from kos.identities where issuer = ${issuer} and subject = ${subject}`;
  return row?.principal_id ?? null;
}

/** Whoever holds an invitation gets its account. One that exists already is theirs only if the provider has verified its login as their address. */
async function newcomer(sql: TransactionSql, identity: ProvenIdentity, invitation: OpenInvitation): Promise<string> {
  const existing = await findLogin(sql, invitation.login);
  if (existing !== null && identity.email !== invitation.login) throw noAccount();
  const principalId = existing?.principalId ?? (await makePerson(sql, { name: identity.name ?? invitation.login, login: invitation.login }));
  await addIdentity(sql, identity, principalId);
  return principalId;
}

async function addIdentity(sql: TransactionSql, { issuer, subject }: ProvenIdentity, principalId: string): Promise<void> {
  await sql`insert into kos.identities (issuer, subject, principal_id) values (${issuer}, ${subject}, ${principalId})`;
  await recordForPerson(sql, { principalId, actor: principalId, action: 'identity.add', subject: principalId, data: { issuer } });
}

const refused = (why: string, cause?: unknown): KosError =>
  new KosError({ code: 'oidc_refused', message: `The sign-in at the provider did not come through. ${why}`, fix: 'Begin again.', status: 401, cause });

const noAccount = (): KosError =>
  new KosError({
    code: 'no_account',
    message: 'Nobody here goes by the identity that the provider gave.',
    fix: 'Ask for an invitation and open it, or sign in as usual and add this identity.',
    status: 403,
  });

const providerUnreachable = (issuer: string, cause: unknown): KosError =>
  new KosError({
    code: 'oidc_unreachable',
    message: `The OpenID provider ${issuer} does not answer as one.`,
    fix: 'See that KOS_OIDC_ISSUER is its exact issuer address and that it runs; or sign in by password.',
    status: 503,
    retryable: true,
    cause,
  });
