import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import { linkTokenSchema, loginSchema, newPasswordSchema, personNameSchema, tokensSchema, typedPasswordSchema, workspaceIdSchema } from '#schemas/people.ts';
import { acceptInvitation } from '#services/people/invitations.ts';
import { type OpenedSession, revokeSession } from '#services/people/sessions.ts';
import { checkPassword, signInByPassword } from '#services/people/sign-in.ts';
import { resetPassword, signInByLink } from '#services/people/spend.ts';
import { listWorkspaces } from '#services/people/workspaces.ts';
import { closeGrant, openGrant, refreshGrant } from '#services/tokens/grants.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { defineRoute, empty, json, type Reply, type Route } from '../route.ts';

const signedInSchema = z.object({ sessionId: z.string() });

const loginBody = z.strictObject({
  login: loginSchema,
  password: typedPasswordSchema,
  /** True: tokens for a program instead of a session in a cookie. */
  tokens: z.boolean().default(false),
  /** Of the tokens; needed where somebody belongs to several. */
  workspace: workspaceIdSchema.optional(),
});

const credentialSchema = z.object({
  active: z.literal(true),
  principalId: z.string(),
  workspaceId: z.string(),
  via: z.enum(['owner_key', 'session', 'api_key', 'token']),
  /** Null: the credential has no end of its own that this tells. */
  expiresAt: z.string().nullable(),
});

export const authRoutes = (dependencies: ApiDependencies): Route[] => {
  const { system } = dependencies;

  const signIn = ({ sessionId, token }: OpenedSession): Reply => json({ sessionId }, 200, { 'Set-Cookie': dependencies.cookie.set(token) });

  return [
    defineRoute({
      method: 'post',
      path: '/v1/auth/login',
      aliases: ['/api/v1/auth/login'],
      summary: 'Sign in by password: a session in a cookie, or with `tokens: true` an access token and a refresh token',
      access: { public: true },
      rate: 'sign-in',
      body: loginBody,
      responses: { 200: z.union([signedInSchema, tokensSchema]) },
      examples: { body: { login: 'ada@example.com', password: 'a few words do well', tokens: true } },
      handler: async ({ body, header }) => {
        const principalId = await checkPassword(system, body);
        if (body.tokens) {
          const workspaceId = await workspaceOfTokens(dependencies, principalId, body.workspace);
          return json(await openGrant(system, dependencies.tokens, { principalId, workspaceId }));
        }
        return signIn(await signInByPassword(system, { principalId, userAgent: header('user-agent') }));
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/auth/links',
      summary: 'Spend a one-time sign-in link (kai open)',
      access: { public: true },
      rate: 'sign-in',
      body: z.strictObject({ token: linkTokenSchema }),
      examples: { body: { token: 'the-43-characters-behind-the-hash-of-a-link' } },
      responses: { 200: signedInSchema },
      handler: async ({ body, header }) => signIn(await signInByLink(system, { token: body.token, userAgent: header('user-agent') })),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/auth/invitations',
      summary: 'Accept an invitation: with a new password, or with the one of the account that its login has already',
      access: { public: true },
      rate: 'sign-in',
      body: z.strictObject({ token: linkTokenSchema, name: personNameSchema.optional(), password: typedPasswordSchema }),
      examples: { body: { token: 'the-43-characters-behind-the-hash-of-a-link', name: 'Ada', password: 'a few words do well' } },
      responses: { 200: signedInSchema },
      handler: async ({ body, header }) => signIn(await acceptInvitation(system, { ...body, userAgent: header('user-agent') })),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/auth/resets',
      summary: 'Set a new password by a reset link; every other session and token ends',
      access: { public: true },
      rate: 'sign-in',
      body: z.strictObject({ token: linkTokenSchema, password: newPasswordSchema }),
      examples: { body: { token: 'the-43-characters-behind-the-hash-of-a-link', password: 'and so do other ones' } },
      responses: { 200: signedInSchema },
      handler: async ({ body, header }) => signIn(await resetPassword(system, { ...body, userAgent: header('user-agent') })),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/auth/refresh',
      aliases: ['/api/v1/auth/refresh'],
      summary: 'The next pair of tokens. A refresh token is good once; one that comes back ends its whole line',
      access: { public: true },
      body: z.strictObject({ refreshToken: z.string().max(100) }),
      examples: { body: { refreshToken: 'kosr_what-the-sign-in-answered' } },
      responses: { 200: tokensSchema },
      handler: async ({ body }) => json(await refreshGrant(system, dependencies.tokens, body.refreshToken)),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/auth/logout',
      aliases: ['/api/v1/auth/logout'],
      summary: 'End the session or the line of tokens that this request shows',
      access: { permission: 'self:read' },
      workspace: 'optional',
      responses: { 204: null },
      handler: async ({ principal }) => {
        await signOut(dependencies, principal);
        dependencies.forget(principal.principalId);
        return empty(principal.via === 'session' ? { 'Set-Cookie': dependencies.cookie.clear() } : {});
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/auth/validate',
      aliases: ['/api/v1/auth/validate'],
      summary: 'Whether the credential of this request is good, whose it is, and until when',
      access: { permission: 'self:read' },
      workspace: 'optional',
      responses: { 200: credentialSchema },
      handler: async ({ principal, header }) => {
        const bearer = /^Bearer +(.+)$/i.exec(header('authorization') ?? '')?.[1];
        const claims = principal.via === 'token' && bearer !== undefined ? await dependencies.tokens.verify(bearer) : null;
        const { principalId, workspaceId, via } = principal;
        return json({ active: true, principalId, workspaceId, via, expiresAt: claims?.expiresAt.toISOString() ?? null });
      },
    }),
    defineRoute({
      method: 'get',
      path: '/.well-known/jwks.json',
      summary: 'The public keys that access tokens are signed with (RFC 7517)',
      access: { public: true },
      responses: { 200: z.object({ keys: z.array(z.looseObject({ kty: z.string(), kid: z.string() })) }) },
      handler: async () => json(dependencies.tokens.jwks),
    }),
  ];
};

async function workspaceOfTokens({ system }: ApiDependencies, principalId: string, wanted: string | undefined): Promise<string> {
  const workspaces = await listWorkspaces(system, principalId);
  const chosen = wanted === undefined ? workspaces : workspaces.filter(({ id }) => id === wanted);
  const [only] = chosen;
  if (only !== undefined && chosen.length === 1) return only.id;
  throw new KosError({
    code: chosen.length === 0 ? 'workspace_refused' : 'workspace_required',
    message: chosen.length === 0 ? 'You do not belong to that workspace, or to none.' : 'You belong to several workspaces; tokens are for one.',
    fix: `Send workspace with one of yours: ${workspaces.map(({ id, slug }) => `${id} (${slug})`).join(', ') || 'you have none'}.`,
    status: chosen.length === 0 ? 403 : 400,
  });
}

async function signOut({ system }: ApiDependencies, principal: Principal): Promise<void> {
  const { principalId, workspaceId, credentialId } = principal;
  if (principal.via === 'session') return revokeSession(system, principalId, credentialId);
  if (principal.via === 'token' && credentialId.startsWith('grt_')) return closeGrant(system, { principalId, workspaceId, grantId: credentialId });
  throw new KosError({
    code: 'nothing_to_sign_out',
    message: 'A key is not signed out; it is revoked.',
    fix: `kai key revoke ${credentialId}`,
    status: 409,
  });
}
