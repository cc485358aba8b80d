import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { eventSchema } from '#schemas/event.ts';
import { can } from '#core/policy/can.ts';
import { mayReadDeltas } from '#core/policy/event-rights.ts';
import { runDebugSchema } from '#schemas/debug.ts';
import { runHistorySchema } from '#schemas/history.ts';
import { stepSchema, stepStatuses } from '#schemas/run.ts';
import { showLogLine } from '#services/events/log-line.ts';
import { exportRun } from '#services/runs/export.ts';
import { readRun } from '#services/runs/read.ts';
import { listSteps, readStep } from '#services/runs/read-steps.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { positionQuery, readPage, recordOf, wantsStream } from '../event-page.ts';
import { streamEvents } from '../event-stream.ts';
import { defineRoute, json, type Route } from '../route.ts';
import { anyOf, idParams, listOf, pageQuery } from '../shapes.ts';

const logLineSchema = z.object({
  at: z.string(),
  level: z.enum(['info', 'warn', 'error']),
  text: z.string(),
  stepPath: z.string().nullable(),
  position: z.string(),
});

export const runRecordRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/v1/runs/{id}/steps',
    summary: 'Steps that have begun, in the plan’s order; with `path`, that one with its whole output',
    access: { permission: 'runs:read' },
    params: idParams('run'),
    query: z.strictObject({ ...pageQuery, path: z.string().max(2_000).optional(), status: anyOf(stepStatuses) }),
    responses: { 200: listOf(stepSchema) },
    handler: async ({ principal, params, query }) =>
      json(
        await inWorkspaceOf(dependencies, principal, async (transaction) => {
          await readRun(transaction, params.id);
          if (query.path !== undefined) return { items: [await readStep(transaction, params.id, query.path)], nextCursor: null };
          return listSteps(transaction, params.id, { statuses: query.status ?? null, cursor: query.cursor ?? null, limit: query.limit });
        }),
      ),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/runs/{id}/events',
    summary: 'Events of a run: a stream (SSE, resumed by `Last-Event-ID` or `after`), or a page when JSON is asked for',
    access: { permission: 'runs:read' },
    rate: 'stream',
    params: idParams('run'),
    query: z.strictObject(positionQuery),
    responses: { 200: recordOf(eventSchema) },
    handler: async ({ principal, present, params, query, header, signal }) => {
      await inWorkspaceOf(dependencies, principal, (transaction) => readRun(transaction, params.id));
      const scope = { workspaceId: principal.workspaceId, runId: params.id };
      const after = header('last-event-id') ?? query.after ?? null;
      if (!wantsStream(header('accept'))) return json(await readPage(dependencies, scope, after, query.limit));
      return {
        kind: 'stream',
        send: (response) => streamEvents(response, dependencies, { scope, after, signal, wantsDeltas: () => mayReadDeltas(present()) }),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/v1/runs/{id}/logs',
    summary: 'What happened in a run, as lines to read',
    access: { permission: 'runs:read' },
    params: idParams('run'),
    query: z.strictObject(positionQuery),
    responses: { 200: recordOf(logLineSchema) },
    handler: async ({ principal, params, query }) => {
      await inWorkspaceOf(dependencies, principal, (transaction) => readRun(transaction, params.id));
      const page = await readPage(dependencies, { workspaceId: principal.workspaceId, runId: params.id }, query.after ?? null, query.limit);
      return json({ ...page, items: page.items.map(showLogLine) });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/v1/runs/{id}/history',
    summary:
      'What Temporal keeps of a run, the newest event first, its payloads opened, with the steps each is about; `expired` once Temporal keeps it no longer',
    access: { permission: 'history:read' },
    params: idParams('run'),
    query: z.strictObject({ ...pageQuery, type: z.string().min(1).max(100).optional(), step: z.string().min(1).max(2_000).optional() }),
    responses: { 200: runHistorySchema },
    handler: async ({ principal, params, query }) =>
      json(
        await dependencies.readHistory({
          workspaceId: principal.workspaceId,
          runId: params.id,
          type: query.type ?? null,
          stepPath: query.step ?? null,
          cursor: query.cursor ?? null,
          limit: query.limit,
        }),
      ),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/runs/{id}/debug',
    summary:
      'What Temporal holds of a run at this moment: pending activities with attempts and last failure, pollers, failed workflow tasks, call stack; for who has no `history:read`, failures are codes alone',
    access: { permission: 'runs:read' },
    params: idParams('run'),
    responses: { 200: runDebugSchema },
    handler: async ({ principal, params }) =>
      json(await dependencies.debugRun({ workspaceId: principal.workspaceId, runId: params.id, open: can(principal, 'history:read') })),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/runs/{id}/export',
    summary:
      'Everything about a run that the caller may see, as one JSON document: run, plan, steps, signals, approvals, artifacts, runs that its steps started, events, audit entries; `withheld` names what is left out',
    access: { permission: 'runs:read' },
    params: idParams('run'),
    query: z.strictObject({ outputs: z.enum(['small', 'whole']).default('small'), artifacts: z.enum(['list', 'contents']).default('list') }),
    responses: { 200: { mediaType: 'application/json' } },
    handler: async ({ principal, params, query, signal }) => {
      const run = await inWorkspaceOf(dependencies, principal, (transaction) => readRun(transaction, params.id));
      const choice = { contents: query.artifacts === 'contents', wholeOutputs: query.outputs === 'whole' };
      const document = exportRun(dependencies, { reader: principal, run, ...choice, now: dependencies.now() });
      return {
        kind: 'stream',
        send: async (response) => {
          response.status(200).set({ 'Content-Type': 'application/json; charset=utf-8', 'Content-Disposition': `attachment; filename="${run.id}.json"` });
          await pipeline(Readable.from(document), response, { signal });
        },
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/v1/runs/{id}/explain',
    summary: 'For every unfinished step: what blocks it, since when, and what helps',
    access: { permission: 'runs:read' },
    params: idParams('run'),
    responses: { 200: z.looseObject({ runId: z.string(), status: z.string() }) },
    handler: async ({ principal, params }) =>
      json(await inWorkspaceOf(dependencies, principal, (transaction) => dependencies.explainRun(transaction, params.id))),
  }),
];
