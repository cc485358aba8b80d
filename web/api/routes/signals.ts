import { z } from 'zod';
import { sendSignalSchema, signalLimits, signalSchema } from '#schemas/signal.ts';
import { readRun } from '#services/runs/read.ts';
import { listSignals, readSignal } from '#services/signals/read.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, json, type Route } from '../route.ts';
import { idParams, listOf, pageQuery } from '../shapes.ts';

const referenceSchema = z.object({ signalId: z.string() });

export const signalRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'post',
    path: '/v1/runs/{id}/signals',
    summary: 'Send a signal to a run: the step that waits for its name takes it, or it is kept until one does',
    access: { permission: 'runs:signal' },
    params: idParams('run'),
    body: sendSignalSchema,
    // A little above the limit of a payload, so that one beyond it is told in the payload's own words.
    bodyBytes: 2 * signalLimits.payloadBytes,
    examples: { body: { name: 'delivered', payload: { parcel: 'A-17' } } },
    responses: { 202: signalSchema },
    handler: async (call) => {
      const { principal, params, body } = call;
      const signal = await dependencies.sendSignal({
        workspaceId: principal.workspaceId,
        actor: principal.principalId,
        runId: params.id,
        signal: body,
        // First: an equal request that comes at the same time waits here, and is then answered as the repeat it is.
        alsoInTransaction: (transaction, signalId) => call.recordEffect(transaction, { status: 202, reference: { signalId } }),
      });
      dependencies.nudgeOutbox();
      return json(signal, 202);
    },
    replay: async (reference, { principal }) =>
      json(await inWorkspaceOf(dependencies, principal, (transaction) => readSignal(transaction, referenceSchema.parse(reference).signalId)), 202),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/runs/{id}/signals',
    summary: 'Signals that were sent to a run, in the order of their arrival, with the step that took each',
    access: { permission: 'runs:read' },
    params: idParams('run'),
    query: z.strictObject(pageQuery),
    responses: { 200: listOf(signalSchema) },
    handler: async ({ principal, params, query }) =>
      json(
        await inWorkspaceOf(dependencies, principal, async (transaction) => {
          await readRun(transaction, params.id);
          return listSignals(transaction, params.id, { cursor: query.cursor ?? null, limit: query.limit });
        }),
      ),
  }),
];
