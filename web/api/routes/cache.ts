import { z } from 'zod';
import { planNameSchema } from '#schemas/plan.ts';
import { clearCache } from '#services/cache/entries.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, json, type Route } from '../route.ts';

export const cacheRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'delete',
    path: '/v1/cache',
    summary: 'Forget the outputs that are kept for reuse, of the runs of one plan or of all; the runs keep theirs',
    access: { permission: 'cache:clear' },
    query: z.strictObject({ plan: planNameSchema.optional() }),
    responses: { 200: z.object({ plan: z.string().nullable(), cleared: z.int() }) },
    handler: async ({ principal, query }) => {
      const plan = query.plan ?? null;
      const { workspaceId, principalId: actor } = principal;
      return json({ plan, cleared: await inWorkspaceOf(dependencies, principal, (transaction) => clearCache(transaction, { workspaceId, actor, plan })) });
    },
  }),
];
