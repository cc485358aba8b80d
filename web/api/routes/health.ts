import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import { problemSchema } from '#schemas/problem.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { defineRoute, json, type Route } from '../route.ts';

const partsSchema = z.object({ database: z.enum(['ok', 'down']), temporal: z.enum(['ok', 'down']), workers: z.enum(['ok', 'down']) });

export const healthRoutes = ({ health, metrics }: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/healthz',
    summary: 'Whether this process answers',
    access: { public: true },
    rate: 'health',
    responses: { 200: z.object({ status: z.literal('ok') }) },
    handler: async () => json({ status: 'ok' }),
  }),
  defineRoute({
    method: 'get',
    path: '/readyz',
    summary: 'Whether every part that runs need answers',
    access: { public: true },
    rate: 'health',
    responses: { 200: z.object({ status: z.literal('ready'), parts: partsSchema }), 503: problemSchema },
    handler: async () => {
      const { ready, parts } = await health.check();
      if (ready) return json({ status: 'ready', parts });
      const down = Object.entries(parts).filter(([, word]) => word === 'down');
      throw new KosError({
        code: 'not_ready',
        message: `Not ready: ${down.map(([part]) => part).join(', ')} down.`,
        fix: 'kai doctor',
        status: 503,
        retryable: true,
        extra: { parts },
      });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/metrics',
    summary: 'Figures in the Prometheus text format',
    access: { permission: 'metrics:read' },
    responses: { 200: { mediaType: 'text/plain' } },
    handler: async () => {
      const { text, mediaType } = await metrics();
      return {
        kind: 'stream',
        send: async (response) => {
          response.type(mediaType).send(text);
        },
      };
    },
  }),
];
