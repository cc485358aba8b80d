import { z } from 'zod';
import type { Permission } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import { type BulkVerb, type Job, bulkRequestSchema, jobItemSchema, jobSchema } from '#schemas/job.ts';
import { findAdministrators } from '#services/credentials/administrators.ts';
import type { Transaction } from '#services/database/connect.ts';
import { abortJob, type JobChange, listJobItems, planJob, readJob, startJob } from '#services/jobs/jobs.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { authorise } from '../guard.ts';
import { defineRoute, json, type Reply, type Route } from '../route.ts';
import { idParams, listOf, pageQuery } from '../shapes.ts';

/** The permission of the same action on one run: a job does nothing that its maker could not do run by run. */
const permissionOf: Record<BulkVerb, Permission> = {
  cancel: 'runs:cancel',
  terminate: 'runs:terminate',
  pause: 'runs:pause',
  resume: 'runs:pause',
  retry: 'runs:retry',
  priority: 'runs:prioritize',
  fork: 'runs:start',
  replay: 'runs:start',
  signal: 'runs:signal',
  override: 'runs:override',
  skip: 'runs:override',
  resolve: 'runs:override',
};

const referenceSchema = z.object({ jobId: z.string() });

const located = (job: Job): Reply => json(job, 202, { Location: `/v1/jobs/${job.id}` });

export const jobRoutes = (dependencies: ApiDependencies): Route[] => {
  const answer = (principal: Principal, jobId: string): Promise<Reply> =>
    inWorkspaceOf(dependencies, principal, async (transaction) => located(await readJob(transaction, jobId)));
  const assertMay = (principal: Principal, verb: BulkVerb): Promise<void> =>
    authorise(principal, permissionOf[verb], () => findAdministrators(dependencies.system, principal.workspaceId, permissionOf[verb]));
  return [
    defineRoute({
      method: 'post',
      path: '/v1/runs/bulk',
      summary: 'Act on many runs: a job, bound to the runs that are found now; with `dryRun` it only counts and shows a sample',
      access: { permission: 'runs:bulk' },
      body: bulkRequestSchema,
      examples: { body: { verb: 'cancel', filter: { status: ['running'], plan: 'log-triage' }, reason: 'started twice', dryRun: true } },
      responses: { 202: jobSchema },
      handler: async (call) => {
        const { principal, body } = call;
        await assertMay(principal, body.verb);
        const by = { workspaceId: principal.workspaceId, actor: principal.principalId };
        const jobId = await inWorkspaceOf(dependencies, principal, async (transaction) => {
          const made = await planJob(transaction, body, by);
          await call.recordEffect(transaction, { status: 202, reference: { jobId: made } });
          return made;
        });
        return answer(principal, jobId);
      },
      replay: (reference, { principal }) => answer(principal, referenceSchema.parse(reference).jobId),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/jobs/{id}',
      summary: 'A job: how many of its runs are done, refused, still to come',
      access: { permission: 'runs:read' },
      params: idParams('job'),
      responses: { 200: jobSchema },
      handler: async ({ principal, params }) => json(await inWorkspaceOf(dependencies, principal, (transaction) => readJob(transaction, params.id))),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/jobs/{id}/items',
      summary: 'What became of each run of a job',
      access: { permission: 'runs:read' },
      params: idParams('job'),
      query: z.strictObject({ ...pageQuery, cursor: z.coerce.number().int().min(0).max(2_147_483_647).default(0) }),
      responses: { 200: listOf(jobItemSchema) },
      handler: async ({ principal, params, query }) =>
        json(
          await inWorkspaceOf(dependencies, principal, async (transaction) => {
            await readJob(transaction, params.id);
            return listJobItems(transaction, params.id, query.cursor, query.limit);
          }),
        ),
    }),
    ...(
      [
        ['start', 'Begin a planned job, on exactly the runs that it was planned for', startJob],
        ['abort', 'Stop a job: what it has not done stays undone', abortJob],
      ] as const
    ).map(([verb, summary, act]: readonly [string, string, (transaction: Transaction, change: JobChange) => Promise<void>]) =>
      defineRoute({
        method: 'post',
        path: `/v1/jobs/{id}/${verb}`,
        summary,
        access: { permission: 'runs:bulk' },
        params: idParams('job'),
        responses: { 202: jobSchema },
        handler: async (call) => {
          const { principal, params } = call;
          const { action } = await inWorkspaceOf(dependencies, principal, (transaction) => readJob(transaction, params.id));
          await assertMay(principal, action.verb);
          await inWorkspaceOf(dependencies, principal, async (transaction) => {
            await call.recordEffect(transaction, { status: 202, reference: { jobId: params.id } });
            await act(transaction, { workspaceId: principal.workspaceId, actor: principal.principalId, jobId: params.id });
          });
          return answer(principal, params.id);
        },
        replay: (reference, { principal }) => answer(principal, referenceSchema.parse(reference).jobId),
      }),
    ),
  ];
};
