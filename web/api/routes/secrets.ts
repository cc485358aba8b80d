import { z } from 'zod';
import { secretDescriptionSchema, setSecretSchema } from '#schemas/secret.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { defineRoute, empty, json, type Route } from '../route.ts';
import { listOf, pageQuery, secretNameParams } from '../shapes.ts';

export const secretRoutes = ({ secrets }: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/v1/secrets',
    summary: 'Names of secrets and the hosts they are bound to; never a value',
    access: { permission: 'secrets:read' },
    query: z.strictObject(pageQuery),
    responses: { 200: listOf(secretDescriptionSchema) },
    handler: async ({ principal }) => json({ items: await secrets.list(principal.workspaceId), nextCursor: null }),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/secrets/{name}',
    summary: 'The hosts and version of a secret; never its value',
    access: { permission: 'secrets:read' },
    params: secretNameParams,
    responses: { 200: secretDescriptionSchema },
    handler: async ({ principal, params }) => json(await secrets.get(principal.workspaceId, params.name)),
  }),
  defineRoute({
    method: 'put',
    path: '/v1/secrets/{name}',
    summary: 'Write a secret; what it was before is gone',
    access: { permission: 'secrets:write' },
    params: secretNameParams,
    body: setSecretSchema,
    examples: { body: { value: 'what only the host may see', hosts: ['api.example.com'] } },
    responses: { 200: secretDescriptionSchema },
    handler: async ({ principal, params, body }) =>
      json(await secrets.set({ workspaceId: principal.workspaceId, actor: principal.principalId, name: params.name, ...body })),
  }),
  defineRoute({
    method: 'delete',
    path: '/v1/secrets/{name}',
    summary: 'Remove a secret',
    access: { permission: 'secrets:write' },
    params: secretNameParams,
    responses: { 204: null },
    handler: async ({ principal, params }) => {
      await secrets.remove({ workspaceId: principal.workspaceId, actor: principal.principalId, name: params.name });
      return empty();
    },
  }),
];
