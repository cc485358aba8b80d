import { offersOf } from '#core/again/offers.ts';
import { snippetsOf } from '#core/again/snippets.ts';
import { can } from '#core/policy/can.ts';
import { runOffersSchema } from '#schemas/again.ts';
import { readRun } from '#services/runs/read.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { operationId } from '../openapi.ts';
import { defineRoute, json, type Route } from '../route.ts';
import { idParams } from '../shapes.ts';

/** The templates of the routes that offers are about: their functions in clients are named by them. */
const templateOf = (path: string): string => path.replace(/^\/v1\/runs\/[^/]+\/replay$/, '/v1/runs/{id}/replay');

export const againRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/v1/runs/{id}/again',
    summary: 'What can be made of a run: the same once more, one like it, a schedule, a trigger; each as a request and to copy as kai, curl and TypeScript',
    access: { permission: 'runs:read' },
    params: idParams('run'),
    responses: { 200: runOffersSchema },
    handler: async ({ principal, params }) => {
      const run = await inWorkspaceOf(dependencies, principal, (transaction) => readRun(transaction, params.id));
      const { offers, note } = offersOf(run);
      const { publicUrl } = dependencies;
      const shown = offers.map((offer) => {
        const { action, text, permission, path, body, needsIdempotencyKey } = offer;
        const functionName = operationId({ method: 'post', path: templateOf(path) });
        const request = { method: 'POST' as const, path, body, needsIdempotencyKey };
        return { action, text, allowed: can(principal, permission), request, ...snippetsOf(offer, { publicUrl, functionName }) };
      });
      return json({ runId: run.id, offers: shown, note });
    },
  }),
];
