import { z } from 'zod';
import { forkRunSchema, replayRunSchema } from '#schemas/run.ts';
import { forkRun, replayRun } from '#services/runs/actions/fork.ts';
import { readRun } from '#services/runs/read.ts';
import type { ApiDependencies } from '../dependencies.ts';
import { defineRoute, json, type Reply, type Route } from '../route.ts';
import { idParams } from '../shapes.ts';
import { startBodyBytes, startedSchema } from './runs.ts';

const forkedSchema = startedSchema.extend({ carried: z.array(z.string()), again: z.array(z.string()) });
const madeSchema = z.object({ runId: z.string(), carried: z.array(z.string()).optional(), again: z.array(z.string()).optional() });

/** Routes that make a new run from another one. */
export const rerunRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'post',
    path: '/v1/runs/{id}/replay',
    summary: 'Start a new run of the same plan version, with the same input or another one',
    access: { permission: 'runs:start' },
    params: idParams('run'),
    body: replayRunSchema,
    bodyBytes: startBodyBytes,
    examples: { body: { input: { path: '/var/log/app' }, reason: 'with the other folder' } },
    responses: { 202: startedSchema },
    handler: async (call) => {
      const { principal, params, body } = call;
      const { reason = null, ...rest } = body;
      const made = await replayRun(dependencies, {
        principal,
        runId: params.id,
        ...rest,
        reason,
        alsoInTransaction: (transaction, made) => call.recordEffect(transaction, { status: 202, reference: { ...made } }),
      });
      dependencies.nudgeOutbox();
      return answerRerun(dependencies, principal.workspaceId, made);
    },
    replay: (reference, { principal }) => answerRerun(dependencies, principal.workspaceId, madeSchema.parse(reference)),
  }),
  defineRoute({
    method: 'post',
    path: '/v1/runs/{id}/fork',
    summary: 'Start a new run at a step of another one, carrying over what does not depend on it; with an edited input or another version of the plan',
    access: { permission: 'runs:start' },
    params: idParams('run'),
    body: forkRunSchema,
    bodyBytes: startBodyBytes,
    examples: { body: { from: 'explain', reason: 'from here on, with the newest version' } },
    responses: { 202: forkedSchema },
    handler: async (call) => {
      const { principal, params, body } = call;
      const { reason = null, ...rest } = body;
      const forked = await forkRun(dependencies, {
        principal,
        runId: params.id,
        ...rest,
        reason,
        alsoInTransaction: (transaction, made) => call.recordEffect(transaction, { status: 202, reference: { ...made } }),
      });
      dependencies.nudgeOutbox();
      return answerRerun(dependencies, principal.workspaceId, forked);
    },
    replay: (reference, { principal }) => answerRerun(dependencies, principal.workspaceId, madeSchema.parse(reference)),
  }),
];

/** The answer, now or at a repeat. */
async function answerRerun(dependencies: ApiDependencies, workspaceId: string, made: z.output<typeof madeSchema>): Promise<Reply> {
  const { runId, ...lists } = made;
  const run = await dependencies.database.inWorkspace(workspaceId, (transaction) => readRun(transaction, runId));
  const started = { id: runId, status: run.status, url: `${dependencies.publicUrl}/v1/runs/${runId}`, ...lists };
  return json(started, 202, { Location: `/v1/runs/${runId}` });
}
