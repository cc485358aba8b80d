import { z } from 'zod';
import type { Principal } from '#core/policy/principal.ts';
import type { Json } from '#schemas/json.ts';
import { idSchema } from '#schemas/ids.ts';
import { isFinalRunStatus, runSchema, type RunStatus, runStatuses, startRunSchema } from '#schemas/run.ts';
import { setPinned } from '#services/runs/change.ts';
import { fetchRun, fetchRuns, readRun } from '#services/runs/read.ts';
import { deleteRun } from '#services/runs/remove.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { type Call, defineRoute, empty, json, type Reply, type Route } from '../route.ts';
import { anyOf, idParams, labelsQuery, listOf, pageQuery } from '../shapes.ts';
import { preferredWait, waitForRun } from '../wait-for-run.ts';

export const startedSchema = z.object({ id: z.string(), status: z.enum(runStatuses), url: z.string() });
const runReferenceSchema = z.object({ runId: z.string() });

/** Inputs of a run: as much as a step may put out. */
export const startBodyBytes = 8_000_000;

export const runRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'post',
    path: '/v1/runs',
    summary: 'Start a run; with `Prefer: wait=N` the answer is the run, if it ends within N seconds (at most 60)',
    access: { permission: 'runs:start' },
    body: startRunSchema,
    bodyBytes: startBodyBytes,
    responses: { 202: startedSchema, 200: runSchema },
    examples: {
      body: { plan: 'log-triage@1', input: { path: '/var/log' }, labels: { team: 'platform' } },
      answers: {
        202: {
          id: 'run_01a1fbed-3526-70db-9986-2f479f032b1e',
          status: 'queued',
          url: 'http://127.0.0.1:3000/v1/runs/run_01a1fbed-3526-70db-9986-2f479f032b1e',
        },
      },
    },
    handler: async (call) => {
      const { principal } = call;
      const { runId } = await dependencies.acceptRun({
        workspaceId: principal.workspaceId,
        actor: principal.principalId,
        responsible: principal.responsible,
        origin: { kind: call.header('user-agent')?.startsWith('kai') === true ? 'cli' : 'api', id: principal.credentialId },
        request: call.body,
        alsoInTransaction: (transaction, id) => call.recordEffect(transaction, { status: 202, reference: { runId: id } }),
      });
      dependencies.nudgeOutbox();
      return preferredWait(call.header('prefer')) === null ? answerAccepted(dependencies, runId, 'queued') : answerStart(dependencies, principal, runId, call);
    },
    replay: (reference, call) => answerStart(dependencies, call.principal, runReferenceSchema.parse(reference).runId, call),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/runs',
    summary: 'Runs, newest first',
    access: { permission: 'runs:read' },
    query: z.strictObject({
      ...pageQuery,
      status: anyOf(runStatuses),
      plan: z.string().max(64).optional(),
      label: labelsQuery,
      parent: z.union([idSchema('run'), z.literal('none')]).optional(),
    }),
    responses: { 200: listOf(runSchema) },
    handler: async ({ principal, query }) => {
      const filter = {
        statuses: query.status ?? null,
        plan: query.plan ?? null,
        labels: query.label ?? {},
        parent: query.parent ?? null,
        cursor: query.cursor ?? null,
        limit: query.limit,
      };
      return json(await fetchRuns(dependencies.database, principal.workspaceId, filter));
    },
  }),
  defineRoute({
    method: 'get',
    path: '/v1/runs/{id}',
    summary: 'One run',
    access: { permission: 'runs:read' },
    params: idParams('run'),
    responses: { 200: runSchema },
    handler: async ({ principal, params }) => json(await fetchRun(dependencies.database, principal.workspaceId, params.id)),
  }),
  ...(['pin', 'unpin'] as const).map((verb) =>
    defineRoute({
      method: 'post',
      path: `/v1/runs/{id}/${verb}`,
      summary: verb === 'pin' ? 'Keep a run beyond retention' : 'Let retention take a run again',
      access: { permission: 'runs:pin' },
      params: idParams('run'),
      responses: { 200: runSchema },
      handler: async ({ principal, params }) =>
        json(
          await inWorkspaceOf(dependencies, principal, async (transaction) => {
            await setPinned(transaction, { workspaceId: principal.workspaceId, actor: principal.principalId, runId: params.id, pinned: verb === 'pin' });
            return readRun(transaction, params.id);
          }),
        ),
    }),
  ),
  defineRoute({
    method: 'delete',
    path: '/v1/runs/{id}',
    summary: 'Delete a run that has ended, with its steps, events and outputs; what another run refers to stays',
    access: { permission: 'runs:delete' },
    params: idParams('run'),
    responses: { 204: null },
    handler: async ({ principal, params }) => {
      const { system, artifacts, now } = dependencies;
      await deleteRun(
        { system, artifacts, now: () => now().getTime() },
        { workspaceId: principal.workspaceId, actor: principal.principalId, runId: params.id },
      );
      return empty();
    },
  }),
];

/** The answer to a start, now or at a repeat: with `Prefer: wait` the run when it has ended, else where to find it. */
async function answerStart(
  dependencies: ApiDependencies,
  principal: Principal,
  runId: string,
  call: Pick<Call<unknown, unknown, unknown>, 'header' | 'signal'>,
): Promise<Reply> {
  const seconds = preferredWait(call.header('prefer')) ?? 0;
  const run = await waitForRun(dependencies, { workspaceId: principal.workspaceId, runId, seconds, signal: call.signal });
  if (seconds > 0 && isFinalRunStatus(run.status)) return json(run, 200, { ...locationOf(runId), 'Preference-Applied': `wait=${seconds}` });
  return answerAccepted(dependencies, runId, run.status);
}

const locationOf = (runId: string): { Location: string } => ({ Location: `/v1/runs/${runId}` });

const answerAccepted = ({ publicUrl }: ApiDependencies, runId: string, status: RunStatus): Reply =>
  json({ id: runId, status, url: `${publicUrl}${locationOf(runId).Location}` } satisfies Json, 202, locationOf(runId));
