import { z } from 'zod';
import type { Transaction } from '#services/database/connect.ts';
import { readAdmission } from '#services/runs/admission.ts';
import { holdStarts, readStarts, releaseStarts } from '#services/runs/held-starts.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, json, type Route } from '../route.ts';

const admissionSchema = z.object({
  runsAtOnce: z.int().nullable().describe('Runs of the workspace that may be at work at once; null: as many as come.'),
  because: z
    .enum(['setting', 'no_fairness'])
    .nullable()
    .describe('What bounds them: the setting, or that Temporal is not seen to share out fairly between workspaces.'),
  atWork: z.int().describe('Runs at work now; those that wait are not.'),
  waiting: z.int().describe('Runs that wait for room.'),
});
const queueOrderSchema = z.object({
  fair: z.boolean().describe('Workspaces are served in turn, however many tasks one of them has.'),
  byPriority: z.boolean().describe('What is urgent goes ahead of what came before.'),
});
const startsSchema = z.object({
  hold: z.object({ since: z.string(), by: z.string(), reason: z.string() }).nullable().describe('Null: runs start as they come.'),
  waiting: z.int().describe('Runs that are held back.'),
  next: z.array(z.object({ runId: z.string(), plan: z.string(), createdAt: z.string() })).describe('The first of them, in the order in which they will start.'),
  admission: admissionSchema,
  queueOrder: queueOrderSchema.nullable().describe('What Temporal was seen to do when this server started; null: not tried yet.'),
});
const holdSchema = z.strictObject({ reason: z.string().trim().min(1).max(2_000) });

/** New runs of a workspace: held back while what runs is let finish, and released in their order. */
export const startsRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/v1/starts',
    summary: 'Whether new runs start, and which are held back, in the order in which they will start',
    access: { permission: 'runs:read' },
    responses: { 200: startsSchema },
    handler: async ({ principal }) => json(await inWorkspaceOf(dependencies, principal, (transaction) => show(dependencies, transaction))),
  }),
  defineRoute({
    method: 'put',
    path: '/v1/starts/hold',
    summary: 'Start no new run; those that run go on, with what their steps start. While a hold is in force it stays as it is',
    access: { permission: 'runs:pause' },
    body: holdSchema,
    examples: { body: { reason: 'The billing API is being moved.' } },
    responses: { 200: startsSchema },
    handler: async ({ principal, body }) => {
      const { workspaceId, principalId: actor } = principal;
      return json(
        await inWorkspaceOf(dependencies, principal, async (transaction) => {
          await holdStarts(transaction, { workspaceId, actor }, body.reason);
          return await show(dependencies, transaction);
        }),
      );
    },
  }),
  defineRoute({
    method: 'delete',
    path: '/v1/starts/hold',
    summary: 'Let new runs start again, those that waited first, in their order; answers what was held',
    access: { permission: 'runs:pause' },
    responses: { 200: startsSchema },
    handler: async ({ principal }) => {
      const { workspaceId, principalId: actor } = principal;
      const before = await inWorkspaceOf(dependencies, principal, async (transaction) => {
        const held = await show(dependencies, transaction);
        await releaseStarts(transaction, { workspaceId, actor });
        return held;
      });
      dependencies.nudgeOutbox();
      return json(before);
    },
  }),
];

async function show({ queueOrder }: ApiDependencies, transaction: Transaction): Promise<z.input<typeof startsSchema>> {
  const { hold, waiting, next } = await readStarts(transaction);
  return {
    hold: hold === null ? null : { ...hold, since: hold.since.toISOString() },
    waiting,
    next: next.map((run) => ({ ...run, createdAt: run.createdAt.toISOString() })),
    admission: await readAdmission(transaction, queueOrder.usualBound()),
    queueOrder: queueOrder.seen(),
  };
}
