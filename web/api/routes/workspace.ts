import { z } from 'zod';
import { runStatuses } from '#schemas/run.ts';
import { countOpenApprovals } from '#services/approvals/read.ts';
import { countRuns } from '#services/runs/read.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, json, type Route } from '../route.ts';
import { listOf } from '../shapes.ts';

const overviewSchema = z.object({
  runs: z.record(z.enum(runStatuses), z.int()),
  openApprovals: z.int(),
  parts: z.record(z.string(), z.string()),
});

const toolSchema = z.looseObject({ name: z.string(), version: z.int(), description: z.string(), effect: z.enum(['pure', 'idempotent', 'effectful']) });
const modelSchema = z.looseObject({ name: z.string(), resolvesTo: z.string(), label: z.string().nullable() });

export const workspaceRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/v1/overview',
    summary: 'Runs by status, open approvals, and how the parts are',
    access: { permission: 'runs:read' },
    responses: { 200: overviewSchema },
    handler: async ({ principal }) => {
      const counts = await inWorkspaceOf(dependencies, principal, async (transaction) => ({
        runs: await countRuns(transaction),
        openApprovals: await countOpenApprovals(transaction),
      }));
      const none = Object.fromEntries(runStatuses.map((status) => [status, 0]));
      return json({ runs: { ...none, ...counts.runs }, openApprovals: counts.openApprovals, parts: (await dependencies.health.check()).parts });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/v1/tools',
    summary: 'Tools that plans may use',
    access: { permission: 'plans:read' },
    responses: { 200: listOf(toolSchema) },
    handler: async () => json({ items: dependencies.listTools(), nextCursor: null }),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/models',
    summary: 'Models that plans may use, aliases included',
    access: { permission: 'plans:read' },
    responses: { 200: listOf(modelSchema) },
    handler: async () => json({ items: dependencies.listModels(), nextCursor: null }),
  }),
];
