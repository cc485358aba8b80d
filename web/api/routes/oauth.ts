import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import { defineRoute, json, type Route } from '../route.ts';
import type { ApiDependencies } from '../dependencies.ts';

/** RFC 6749 §4.4. The client is an API key: its id is the key's id, its secret the key itself. */
const tokenBody = z.object({
  grant_type: z.string().max(100),
  client_id: z.string().max(100).optional(),
  client_secret: z.string().max(200).optional(),
  scope: z.string().max(4_000).optional(),
});

const tokenAnswerSchema = z.object({ access_token: z.string(), token_type: z.literal('Bearer'), expires_in: z.int(), scope: z.string() });

export const oauthRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'post',
    path: '/v1/oauth/token',
    summary: 'OAuth 2 client credentials: an access token for an API key, narrowed by `scope`; no refresh token',
    access: { public: true },
    body: tokenBody,
    bodyFormats: ['form', 'json'],
    bodyBytes: 20_000,
    examples: { body: { grant_type: 'client_credentials', client_id: '0123456789ab', client_secret: 'kos_0123456789ab_…', scope: 'runs:start runs:read' } },
    responses: { 200: tokenAnswerSchema },
    handler: async ({ body, header }) => {
      if (body.grant_type !== 'client_credentials') throw oauthError('unsupported_grant_type', 'The only grant here is client_credentials.', 400);
      const client = clientOf(header('authorization'), body);
      const principal = client === null ? null : await dependencies.authenticateBearer(client.secret);
      if (principal === null || principal.via !== 'api_key' || principal.credentialId !== client?.id)
        throw oauthError('invalid_client', 'The client is an API key: client_id is its id (key_…), client_secret the key itself.', 401);
      const scopes = wantedScopes(principal, body.scope);
      const { principalId, workspaceId, credentialId } = principal;
      const { accessToken, expiresInSeconds } = await dependencies.tokens.issue({ principalId, workspaceId, sourceId: credentialId, scopes });
      return json({ access_token: accessToken, token_type: 'Bearer', expires_in: expiresInSeconds, scope: scopes.join(' ') });
    },
  }),
];

/** By HTTP Basic, as RFC 6749 §2.3.1 prefers, or in the body; not both. */
function clientOf(authorization: string | undefined, body: z.output<typeof tokenBody>): { id: string; secret: string } | null {
  const inBody = body.client_id !== undefined && body.client_secret !== undefined ? { id: body.client_id, secret: body.client_secret } : null;
  if (authorization === undefined) return inBody;
  const encoded = /^Basic +([A-Za-z0-9+/=]{1,1000})$/i.exec(authorization)?.[1];
  if (encoded === undefined || inBody !== null) return null;
  const [id, ...secret] = Buffer.from(encoded, 'base64').toString('utf8').split(':').map(formDecoded);
  return id === undefined ? null : { id, secret: secret.join(':') };
}

/** Both halves are form-encoded before they are joined. */
const formDecoded = (text: string): string => new URLSearchParams(`v=${text}`).get('v') ?? '';

/** What was asked for, of what the key has; all of it when nothing was. */
function wantedScopes(principal: Principal, scope: string | undefined): string[] {
  const own = principal.scopes ?? [];
  if (scope === undefined) return [...own];
  const wanted = [...new Set(scope.split(' ').filter((word) => word !== ''))];
  const beyond = wanted.filter((word) => !own.includes(word));
  if (beyond.length > 0) throw oauthError('invalid_scope', `The key is not scoped for ${beyond.join(' ')}.`, 400);
  return wanted;
}

/** A problem that OAuth clients can read, too: RFC 6749 §5.2 looks for `error`. */
const oauthError = (error: string, message: string, status: number): KosError =>
  new KosError({ code: `oauth_${error}`, message, fix: 'RFC 6749 §4.4.', status, extra: { error, error_description: message } });
