import { z } from 'zod';
import type { Principal } from '#core/policy/principal.ts';
import { idPattern } from '#schemas/ids.ts';
import {
  backfillPreviewSchema,
  backfillRangeSchema,
  backfillSchema,
  createScheduleSchema,
  previewScheduleSchema,
  runScheduleSchema,
  scheduleNameSchema,
  scheduleNoteSchema,
  scheduleOrderSchema,
  schedulePreviewSchema,
  scheduleSchema,
  scheduleStartSchema,
  setScheduleSchema,
} from '#schemas/schedule.ts';
import type { Transaction } from '#services/database/connect.ts';
import { createSchedule, pauseSchedule, removeSchedule, resumeSchedule, setSchedule } from '#services/schedules/change.ts';
import { orderBackfill, orderRunNow, previewBackfill, readOrder } from '#services/schedules/orders.ts';
import { listSchedules, listStarts, previewSpec, readSchedule } from '#services/schedules/read.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { type Call, defineRoute, empty, json, type Reply, type Route } from '../route.ts';
import { idParams, listOf, pageQuery, planNameParams } from '../shapes.ts';
import { versionTags } from '../version-tag.ts';

const tags = versionTags('schedule');
const params = idParams('schedule');
const orderReference = z.object({ orderId: z.string().regex(idPattern('scheduleOrder')) });

export const scheduleRoutes = (dependencies: ApiDependencies): Route[] => {
  const nowMs = (): number => dependencies.now().getTime();

  const answer = (principal: Principal, id: string, status = 200): Promise<Reply> =>
    inWorkspaceOf(dependencies, principal, async (transaction) => {
      const { schedule, version } = await readSchedule(transaction, id, nowMs());
      return json(schedule, status, { ETag: tags.of(version), ...(status === 201 ? { Location: `/v1/schedules/${id}` } : {}) });
    });

  const change = async (principal: Principal, work: (transaction: Transaction) => Promise<void>): Promise<void> => {
    await inWorkspaceOf(dependencies, principal, work);
    dependencies.nudgeOutbox();
  };

  /** An order is written with its idempotency key, in one transaction. */
  const order = async (
    call: Call<unknown, unknown, unknown> & { principal: Principal },
    write: (transaction: Transaction) => Promise<string>,
  ): Promise<Reply> => {
    const orderId = await inWorkspaceOf(dependencies, call.principal, async (transaction) => {
      const made = await write(transaction);
      await call.recordEffect(transaction, { status: 202, reference: { orderId: made } });
      return made;
    });
    dependencies.nudgeOutbox();
    return answerOrder(call.principal, orderId);
  };
  const answerOrder = (principal: Principal, orderId: string): Promise<Reply> =>
    inWorkspaceOf(dependencies, principal, async (transaction) => json(await readOrder(transaction, orderId), 202));

  return [
    defineRoute({
      method: 'post',
      path: '/v1/schedules',
      summary: 'Make a schedule: it starts runs of a plan by the clock, with your rights as they are at each start',
      access: { permission: 'schedules:write' },
      body: createScheduleSchema,
      examples: {
        body: {
          name: 'nightly-triage',
          plan: 'log-triage',
          input: { path: '/var/log' },
          spec: { cron: ['30 2 * * mon-fri'], timezone: 'Europe/Berlin', jitterMs: 60_000 },
          overlap: 'skip',
        },
      },
      responses: { 201: scheduleSchema },
      handler: async ({ principal, body }) => {
        let id = '';
        await change(principal, async (transaction) => {
          id = await createSchedule(dependencies.evaluator, transaction, principal, body);
        });
        return answer(principal, id, 201);
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/schedules/preview',
      summary: 'What a spec means, in words, and when it is next due; saves nothing',
      access: { permission: 'schedules:read' },
      body: previewScheduleSchema,
      examples: { body: { spec: { cron: ['0 9 * * mon'], timezone: 'Europe/Berlin' }, count: 3 } },
      responses: { 200: schedulePreviewSchema },
      handler: async ({ body }) => json(previewSpec(body.spec, nowMs(), body.count)),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/schedules',
      summary: 'Schedules, by name',
      access: { permission: 'schedules:read' },
      query: z.strictObject({ ...pageQuery, plan: planNameParams.shape.name.optional(), name: scheduleNameSchema.optional() }),
      responses: { 200: listOf(scheduleSchema) },
      handler: async ({ principal, query }) => {
        const { cursor = null, limit, plan = null, name = null } = query;
        return json(await inWorkspaceOf(dependencies, principal, (transaction) => listSchedules(transaction, { cursor, limit, plan, name }, nowMs())));
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/schedules/{id}',
      summary: 'A schedule: its spec in words, the next ten times, its last starts, how many it missed',
      access: { permission: 'schedules:read' },
      params,
      responses: { 200: scheduleSchema },
      handler: ({ principal, params: { id } }) => answer(principal, id),
    }),
    defineRoute({
      method: 'put',
      path: '/v1/schedules/{id}',
      summary: 'Define a schedule anew; from then on it acts with your rights. Needs `If-Match`',
      access: { permission: 'schedules:write' },
      params,
      body: setScheduleSchema,
      examples: { body: { plan: 'log-triage', input: { path: '/var/log' }, spec: { cron: ['30 2 * * mon-fri'], timezone: 'Europe/Berlin' }, overlap: 'skip' } },
      responses: { 200: scheduleSchema },
      handler: async ({ principal, params: { id }, body, header }) => {
        const version = tags.need(header('if-match'));
        await change(principal, (transaction) => setSchedule(dependencies.evaluator, transaction, principal, { id, version, definition: body }));
        return answer(principal, id);
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/schedules/{id}',
      summary: 'Remove a schedule; its runs stay. Needs `If-Match`',
      access: { permission: 'schedules:write' },
      params,
      responses: { 204: null },
      handler: async ({ principal, params: { id }, header }) => {
        const version = tags.need(header('if-match'));
        await change(principal, (transaction) => removeSchedule(transaction, principal, { id, version }));
        return empty();
      },
    }),
    ...(['pause', 'resume'] as const).map((verb) =>
      defineRoute({
        method: 'post',
        path: `/v1/schedules/{id}/${verb}`,
        summary: verb === 'pause' ? 'Start nothing by the clock until it is resumed' : 'Go on; what was due while it was paused is not made up for',
        access: { permission: 'schedules:write' },
        params,
        body: scheduleNoteSchema,
        examples: { body: { note: 'until the migration is done' } },
        responses: { 200: scheduleSchema },
        handler: async ({ principal, params: { id }, body }) => {
          const act = verb === 'pause' ? pauseSchedule : resumeSchedule;
          await change(principal, (transaction) =>
            act(transaction, { workspaceId: principal.workspaceId, actor: principal.principalId, id, note: body.note ?? null }),
          );
          return answer(principal, id);
        },
      }),
    ),
    defineRoute({
      method: 'post',
      path: '/v1/schedules/{id}/run',
      summary: 'Start a run of it now; without `overlap` its own policy holds, so a run that is open may keep this one from starting',
      access: { permission: 'schedules:run' },
      params,
      body: runScheduleSchema,
      examples: { body: { overlap: 'allowAll' } },
      responses: { 202: scheduleOrderSchema },
      handler: (call) => order(call, (transaction) => orderRunNow(transaction, call.principal, { id: call.params.id, overlap: call.body.overlap }, nowMs())),
      replay: (reference, { principal }) => answerOrder(principal, orderReference.parse(reference).orderId),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/schedules/{id}/preview',
      summary: 'What a backfill would start, and for which of these times there was a run already; starts nothing',
      access: { permission: 'schedules:read' },
      params,
      body: backfillRangeSchema,
      examples: { body: { from: '2030-01-01T00:00:00Z', to: '2030-01-07T00:00:00Z' } },
      responses: { 200: backfillPreviewSchema },
      handler: async ({ principal, params: { id }, body }) =>
        json(await inWorkspaceOf(dependencies, principal, (transaction) => previewBackfill(transaction, id, body, nowMs()))),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/schedules/{id}/backfill',
      summary: 'Start a run for each time that was due in a range, 1,000 at most; one after the other, unless `overlap` says otherwise',
      access: { permission: 'schedules:run' },
      params,
      body: backfillSchema,
      examples: { body: { from: '2030-01-01T00:00:00Z', to: '2030-01-07T00:00:00Z', overlap: 'bufferAll' } },
      responses: { 202: scheduleOrderSchema },
      handler: (call) =>
        order(call, (transaction) =>
          orderBackfill(transaction, call.principal, { id: call.params.id, overlap: call.body.overlap, from: call.body.from, to: call.body.to }, nowMs()),
        ),
      replay: (reference, { principal }) => answerOrder(principal, orderReference.parse(reference).orderId),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/schedules/{id}/starts',
      summary: 'The times for which it was due and what came of each: its run, or why there is none',
      access: { permission: 'schedules:read' },
      params,
      query: z.strictObject(pageQuery),
      responses: { 200: listOf(scheduleStartSchema) },
      handler: async ({ principal, params: { id }, query }) =>
        json(await inWorkspaceOf(dependencies, principal, (transaction) => listStarts(transaction, id, { cursor: query.cursor ?? null, limit: query.limit }))),
    }),
  ];
};
