import { wirePayloadsSchema } from '#schemas/codec.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { defineRoute, json, type Route } from '../route.ts';

/** A page of history's payloads at once; one alone has 2 MB at most, a third more as base64. */
const codecBodyBytes = 16_000_000;

export const codecRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'post',
    path: '/v1/codec/decode',
    summary:
      'Opens payloads for Temporal’s own UI and CLI, by its remote codec protocol: those of the workspace’s runs and schedules; all others come back as they are',
    access: { permission: 'history:read' },
    rate: 'read',
    crossOrigin: dependencies.codecOrigins,
    body: wirePayloadsSchema,
    bodyBytes: codecBodyBytes,
    examples: { body: { payloads: [{ metadata: { encoding: 'YmluYXJ5L2tvcy12MQ==' }, data: '' }] } },
    responses: { 200: wirePayloadsSchema },
    handler: async ({ principal, body }) => json({ payloads: await dependencies.decodePayloads(principal.workspaceId, body.payloads) }),
  }),
];
