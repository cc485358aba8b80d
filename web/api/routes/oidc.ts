import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import { linkTokenSchema } from '#schemas/people.ts';
import type { OidcService } from '#services/people/oidc.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { defineRoute, json, type Reply, type Route } from '../route.ts';

export const oidcCallbackPath = '/v1/auth/oidc/callback';

const beginSchema = z.object({ url: z.string() });

export const oidcRoutes = (dependencies: ApiDependencies): Route[] => {
  const { cookie } = dependencies;

  const begin = async (start: Parameters<OidcService['begin']>[0]): Promise<Reply> => {
    if (dependencies.oidc === null) throw notConfigured();
    const { url, browserToken } = await dependencies.oidc.begin(start);
    return json({ url }, 200, { 'Set-Cookie': cookie.flow.set(browserToken) });
  };

  return [
    defineRoute({
      method: 'post',
      path: '/v1/auth/oidc/start',
      summary: 'Begin a sign-in at the OpenID provider, also to accept an invitation; answers where to go',
      access: { public: true },
      body: z.strictObject({ invitation: linkTokenSchema.optional() }),
      examples: { body: {} },
      responses: { 200: beginSchema },
      handler: ({ body }) => begin({ invitation: body.invitation ?? null, principalId: null }),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/me/identities',
      summary: 'Begin to add your identity at the OpenID provider to your account; answers where to go',
      access: { permission: 'self:secure' },
      workspace: 'optional',
      responses: { 200: beginSchema },
      handler: ({ principal }) => begin({ invitation: null, principalId: principal.principalId }),
    }),
    defineRoute({
      method: 'get',
      path: oidcCallbackPath,
      summary: 'Where the OpenID provider sends people back to; leads on to the sign-in page',
      access: { public: true },
      query: z.looseObject({}),
      responses: { 303: null },
      handler: async ({ query, header }) => {
        const url = new URL(`${dependencies.publicUrl}${oidcCallbackPath}`);
        for (const [name, value] of Object.entries(query)) if (typeof value === 'string') url.searchParams.set(name, value);
        return finish(dependencies, url, { browserToken: cookie.flow.read(header('cookie')), userAgent: header('user-agent') });
      },
    }),
  ];
};

/** A person looks at the answer, so a refusal leads to the page that can say it. */
async function finish(
  { oidc, cookie, log }: ApiDependencies,
  url: URL,
  browser: { browserToken: string | undefined; userAgent: string | undefined },
): Promise<Reply> {
  try {
    if (oidc === null) throw notConfigured();
    const { token } = await oidc.finish({ url, ...browser });
    return { kind: 'redirect', status: 303, headers: { Location: '/sign-in', 'Set-Cookie': [cookie.set(token), cookie.flow.clear()] } };
  } catch (error) {
    if (!(error instanceof KosError)) throw error;
    log.info({ code: error.code, cause: error.cause }, 'a sign-in at the OpenID provider was refused');
    return { kind: 'redirect', status: 303, headers: { Location: `/sign-in#error=${error.code}`, 'Set-Cookie': cookie.flow.clear() } };
  }
}

const notConfigured = (): KosError =>
  new KosError({
    code: 'oidc_not_configured',
    message: 'This installation knows no OpenID provider.',
    fix: 'Set KOS_OIDC_ISSUER and KOS_OIDC_CLIENT_ID, and restart.',
    status: 404,
  });
