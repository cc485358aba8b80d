import { readFileSync } from 'node:fs';
import type { ApiDependencies } from '../dependencies.ts';
import { renderDocs } from '../docs-page.ts';
import { type Access, defineRoute, type Reply, type Route } from '../route.ts';

const read = (name: string): string => readFileSync(new URL(`../pages/${name}`, import.meta.url), 'utf8');

/** A page's own script and style, its own API, and nothing else from anywhere. */
const signInPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const docsPolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The page that spends links, signs in by password, and leads to the OpenID provider. Static: what it says depends on the address's fragment alone. */
export const signInPageRoutes = (dependencies: ApiDependencies): Route[] => {
  const page = read('sign-in.html');
  const script = read('sign-in.mjs');
  const style = read('sign-in.css');
  const file = pageFile({ public: true }, signInPolicy);
  return [
    file('/sign-in', 'text/html', 'The page to sign in, and to spend a link', () => page.replace('<body>', `<body data-oidc="${dependencies.oidc !== null}">`)),
    file('/sign-in/page.js', 'text/javascript', 'Its script', () => script),
    file('/sign-in/page.css', 'text/css', 'Its style', () => style),
  ];
};

/** The API to read in a browser, made from the table itself. */
export const docsRoutes = (routes: () => readonly Route[], about: Pick<ApiDependencies, 'version' | 'publicUrl'>): Route[] => {
  const style = read('docs.css');
  const file = pageFile({ permission: 'self:read' }, docsPolicy);
  return [
    file('/v1/docs', 'text/html', 'This API, to read in a browser', () => renderDocs(routes(), about)),
    file('/v1/docs/page.css', 'text/css', 'Its style', () => style),
  ];
};

const pageFile =
  (access: Access, policy: string) =>
  (path: string, mediaType: string, summary: string, content: () => string): Route =>
    defineRoute({
      method: 'get',
      path,
      summary,
      access,
      workspace: 'optional',
      responses: { 200: { mediaType } },
      handler: async (): Promise<Reply> => ({
        kind: 'stream',
        send: async (response) => {
          response.status(200).set('Content-Security-Policy', policy).type(`${mediaType}; charset=utf-8`).send(content());
        },
      }),
    });
