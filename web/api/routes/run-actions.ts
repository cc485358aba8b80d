import { z } from 'zod';
import type { Permission } from '#core/policy/permissions.ts';
import type { Json } from '#schemas/json.ts';
import { runSchema } from '#schemas/run.ts';
import type { Transaction } from '#services/database/connect.ts';
import type { RunChange } from '#services/runs/actions/locked-run.ts';
import { pauseRun, resumeRun } from '#services/runs/actions/pause.ts';
import { prioritizeRun } from '#services/runs/actions/prioritize.ts';
import { retryRun } from '#services/runs/actions/retry.ts';
import { terminateRun } from '#services/runs/actions/terminate.ts';
import { requestCancel } from '#services/runs/change.ts';
import { readRun } from '#services/runs/read.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, json, type Reply, type Route } from '../route.ts';
import { idParams } from '../shapes.ts';

const reasonSchema = z.strictObject({ reason: z.string().max(2_000).optional() });
const cancelSchema = reasonSchema.extend({ undo: z.boolean().optional().describe('False: what its steps did stays, whatever the plan says of undoing it.') });
const prioritySchema = z.strictObject({ priority: z.int().min(1).max(5) });
const runReferenceSchema = z.object({ runId: z.string() });

interface RunActionRoute<Body extends z.ZodType> {
  verb: string;
  summary: string;
  permission: Permission;
  body: Body;
  example: Json;
  act: (transaction: Transaction, change: RunChange, body: z.output<Body>) => Promise<void>;
}

/** `POST /v1/runs/{id}/VERB`: one transaction, once per key, answered with the run as it then is. */
function actionRoute<Body extends z.ZodType>(dependencies: ApiDependencies, action: RunActionRoute<Body>): Route {
  const answer = (workspaceId: string, runId: string): Promise<Reply> =>
    dependencies.database.inWorkspace(workspaceId, async (transaction) => json(await readRun(transaction, runId), 202));
  return defineRoute({
    method: 'post',
    path: `/v1/runs/{id}/${action.verb}`,
    summary: action.summary,
    access: { permission: action.permission },
    params: idParams('run'),
    body: action.body,
    examples: { body: action.example },
    responses: { 202: runSchema },
    handler: async (call) => {
      const { principal, params } = call;
      await inWorkspaceOf(dependencies, principal, async (transaction) => {
        // First: an equal request that comes at the same time waits here, and is then answered as the repeat it is.
        await call.recordEffect(transaction, { status: 202, reference: { runId: params.id } });
        const change = { workspaceId: principal.workspaceId, actor: principal.principalId, runId: params.id };
        await action.act(transaction, change, call.body as z.output<Body>);
      });
      dependencies.nudgeOutbox();
      return answer(principal.workspaceId, params.id);
    },
    replay: (reference: Json, { principal }) => answer(principal.workspaceId, runReferenceSchema.parse(reference).runId),
  });
}

export const runActionRoutes = (dependencies: ApiDependencies): Route[] => [
  actionRoute(dependencies, {
    verb: 'cancel',
    summary: 'Ask a run to end; what its steps did is undone where its plan says how; 409 when it has ended already',
    permission: 'runs:cancel',
    body: cancelSchema,
    example: { reason: 'started twice', undo: false },
    act: (transaction, change, { reason, undo }) => requestCancel(transaction, { ...change, reason: reason ?? null, undo: undo ?? true }),
  }),
  actionRoute(dependencies, {
    verb: 'terminate',
    summary: 'End a run at once, without undoing or finishing anything; 409 when it has ended already',
    permission: 'runs:terminate',
    body: reasonSchema,
    example: { reason: 'it must not go on' },
    act: (transaction, change, { reason }) => terminateRun(transaction, { ...change, reason: reason ?? null }),
  }),
  actionRoute(dependencies, {
    verb: 'pause',
    summary: 'Let a run finish what works and start nothing new; deadlines stay as they are',
    permission: 'runs:pause',
    body: reasonSchema,
    example: { reason: 'until the migration is done' },
    act: (transaction, change, { reason }) => pauseRun(transaction, { ...change, reason: reason ?? null }),
  }),
  actionRoute(dependencies, {
    verb: 'resume',
    summary: 'Let a paused run go on',
    permission: 'runs:pause',
    body: reasonSchema,
    example: { reason: 'the migration is done' },
    act: (transaction, change, { reason }) => resumeRun(transaction, { ...change, reason: reason ?? null }),
  }),
  actionRoute(dependencies, {
    verb: 'retry',
    summary: 'Reopen a run that failed or was stopped: only what failed or did not run runs again',
    permission: 'runs:retry',
    body: reasonSchema,
    example: { reason: 'the host answers again' },
    act: (transaction, change, { reason }) => retryRun(transaction, { ...change, reason: reason ?? null }),
  }),
  actionRoute(dependencies, {
    verb: 'priority',
    summary: 'Serve a run earlier (1) or later (5)',
    permission: 'runs:prioritize',
    body: prioritySchema,
    example: { priority: 1 },
    act: (transaction, change, { priority }) => prioritizeRun(transaction, { ...change, priority }),
  }),
];
