import { z } from 'zod';
import type { ApiDependencies } from '../dependencies.ts';
import { resourceMetadataPath } from '../resource-metadata.ts';
import { defineRoute, json, type Route } from '../route.ts';

const resourceSchema = z.looseObject({ resource: z.string(), authorization_servers: z.array(z.string()) });
const serverSchema = z.looseObject({ issuer: z.string(), token_endpoint: z.string(), grant_types_supported: z.array(z.string()) });

/**
 * How programs find out by themselves what opens this server: an API key as the bearer, or an access token that the key is exchanged for. No scopes
 * are listed: clients ask for all that are, and a key that has fewer would be refused instead of getting its own.
 */
export const resourceMetadataRoutes = ({ publicUrl }: Pick<ApiDependencies, 'publicUrl'>): Route[] => {
  const resourceRoute = (path: '' | '/mcp', what: string): Route =>
    defineRoute({
      method: 'get',
      path: resourceMetadataPath(path),
      summary: `How to be let in ${what} (RFC 9728)`,
      access: { public: true },
      responses: { 200: resourceSchema },
      handler: async () =>
        json({
          resource: `${publicUrl}${path}`,
          authorization_servers: [publicUrl],
          bearer_methods_supported: ['header'],
          resource_name: 'kOS',
          resource_documentation: `${publicUrl}/v1/docs`,
        }),
    });
  return [
    resourceRoute('', 'here'),
    resourceRoute('/mcp', 'at the MCP server'),
    defineRoute({
      method: 'get',
      path: '/.well-known/oauth-authorization-server',
      summary: 'How an API key is exchanged for an access token (RFC 8414)',
      access: { public: true },
      responses: { 200: serverSchema },
      handler: async () =>
        json({
          issuer: publicUrl,
          token_endpoint: `${publicUrl}/v1/oauth/token`,
          jwks_uri: `${publicUrl}/.well-known/jwks.json`,
          grant_types_supported: ['client_credentials'],
          token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
          // No grant here goes through a browser. Clients refuse metadata that do not name an endpoint all the same.
          response_types_supported: [],
          authorization_endpoint: `${publicUrl}/sign-in`,
        }),
    }),
  ];
};
