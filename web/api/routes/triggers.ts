import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import { idSchema } from '#schemas/ids.ts';
import {
  createTriggerSchema,
  deliveryContentSchema,
  deliverySchema,
  madeTriggerSchema,
  receiptSchema,
  rotateTriggerSchema,
  setTriggerSchema,
  triggerNameSchema,
  triggerNoteSchema,
  triggerSchema,
  triggerTrialSchema,
  tryDeliverySchema,
  tryTriggerSchema,
} from '#schemas/trigger.ts';
import { findAdministrators } from '#services/credentials/administrators.ts';
import type { Transaction } from '#services/database/connect.ts';
import { createTrigger, enableTrigger, removeTrigger, rotateTrigger, setTrigger } from '#services/triggers/change.ts';
import { deliver, RightLost } from '#services/triggers/deliver.ts';
import { tryMapping } from '#services/triggers/evaluate.ts';
import { listDeliveries, listTriggers, openDelivery, readDelivery, readTrigger } from '#services/triggers/read.ts';
import { receive } from '#services/triggers/receive.ts';
import { showTrigger } from '#services/triggers/row.ts';
import type { RawBody } from '../body.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { authorise } from '../guard.ts';
import { defineRoute, empty, json, type Reply, type Route } from '../route.ts';
import { idParams, listOf, pageQuery, planNameParams } from '../shapes.ts';
import { versionTags } from '../version-tag.ts';

const tags = versionTags('trigger');
const params = idParams('trigger');
const deliveryParams = z.object({ id: idSchema('trigger'), delivery: idSchema('delivery') });
const redelivered = z.object({ triggerId: idSchema('trigger'), deliveryId: idSchema('delivery') });

/** A delivery is kept whole, so it may be no larger than this, in bytes. */
const deliveryBytes = 1_000_000;

export const triggerRoutes = (dependencies: ApiDependencies): Route[] => {
  const { publicUrl, triggers } = dependencies;

  const answer = (principal: Principal, id: string, more: { status?: number; secret?: string | null } = {}): Promise<Reply> =>
    inWorkspaceOf(dependencies, principal, async (transaction) => {
      const row = await readTrigger(transaction, id);
      const { status = 200, secret } = more;
      const headers = { ETag: tags.of(row.version), ...(status === 201 ? { Location: `/v1/triggers/${id}` } : {}) };
      return json({ ...showTrigger(row, publicUrl), ...(secret === undefined ? {} : { secret }) }, status, headers);
    });

  const answerRedelivery = (principal: Principal, triggerId: string, deliveryId: string): Promise<Reply> =>
    inWorkspaceOf(dependencies, principal, async (transaction) => {
      const { delivery } = await openDelivery(transaction, triggers.sealing, triggerId, deliveryId);
      return json(delivery, 202, { Location: `/v1/triggers/${triggerId}/deliveries/${deliveryId}` });
    });

  return [
    defineRoute({
      method: 'post',
      path: '/hooks/{id}',
      summary: 'Deliver to a trigger, signed as its scheme says; unknown, disabled and wrongly signed are answered alike',
      access: { public: true },
      rate: 'hook',
      // Malformed ids are answered like unknown ones.
      params: z.object({ id: z.string().max(200) }),
      body: z.custom<RawBody | undefined>(),
      bodyFormats: ['raw'],
      bodyBytes: deliveryBytes,
      responses: { 202: receiptSchema, 200: z.object({ challenge: z.string() }) },
      examples: { answers: { 202: { deliveryId: 'dlv_01a1fbed-3526-70db-9986-2f479f032b1e', runId: 'run_01a1fbed-3526-70db-9986-2f479f032b1e' } } },
      handler: async (call) => {
        const { bytes, type } = call.body ?? { bytes: Buffer.alloc(0), type: '' };
        const received = await receive(triggers, { triggerId: call.params.id, headers: call.headers(), type, bytes, admit: (id) => call.admitDelivery(id) });
        dependencies.nudgeOutbox();
        return 'receipt' in received ? json(received.receipt, 202) : json(received, 200);
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/triggers',
      summary:
        'Make a trigger: what is delivered to its address starts runs of a plan, with your rights as they are then. A secret made here is shown this once',
      access: { permission: 'triggers:write' },
      body: createTriggerSchema,
      examples: {
        body: {
          name: 'issue-opened',
          plan: 'triage-issue',
          scheme: 'github',
          filter: 'headers["x-github-event"] == "issues" && body.action == "opened"',
          input: { title: '${body.issue.title}', url: '${body.issue.html_url}' },
        },
      },
      responses: { 201: madeTriggerSchema },
      handler: async ({ principal, body }) => {
        const made = await inWorkspaceOf(dependencies, principal, (transaction) => createTrigger(transaction, triggers.sealing, principal, body));
        return answer(principal, made.id, { status: 201, secret: made.secret });
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/triggers/test',
      summary: 'What a filter and an input would make of a sample; saves and starts nothing',
      access: { permission: 'triggers:write' },
      body: tryTriggerSchema,
      examples: {
        body: {
          plan: 'triage-issue',
          filter: 'body.action == "opened"',
          input: { title: '${body.issue.title}' },
          sample: { body: { action: 'opened', issue: { title: 'It broke' } } },
        },
      },
      responses: { 200: triggerTrialSchema },
      handler: async ({ principal, body }) =>
        json(await inWorkspaceOf(dependencies, principal, (transaction) => tryMapping(dependencies.evaluator, transaction, body))),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/triggers',
      summary: 'Triggers, by name',
      access: { permission: 'triggers:read' },
      query: z.strictObject({ ...pageQuery, plan: planNameParams.shape.name.optional(), name: triggerNameSchema.optional() }),
      responses: { 200: listOf(triggerSchema) },
      handler: async ({ principal, query: { cursor = null, limit, plan = null, name = null } }) =>
        json(await inWorkspaceOf(dependencies, principal, (transaction) => listTriggers(transaction, { cursor, limit, plan, name }, publicUrl))),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/triggers/{id}',
      summary: 'A trigger: its address, what it makes of deliveries, how many it refused and why',
      access: { permission: 'triggers:read' },
      params,
      responses: { 200: triggerSchema },
      handler: ({ principal, params: { id } }) => answer(principal, id),
    }),
    defineRoute({
      method: 'put',
      path: '/v1/triggers/{id}',
      summary: 'Define a trigger anew; its address and secret stay, and from then on it acts with your rights. Needs `If-Match`',
      access: { permission: 'triggers:write' },
      params,
      body: setTriggerSchema,
      examples: { body: { plan: 'triage-issue', scheme: 'github', filter: 'body.action == "opened"', input: { title: '${body.issue.title}' } } },
      responses: { 200: triggerSchema },
      handler: async ({ principal, params: { id }, body, header }) => {
        const version = tags.need(header('if-match'));
        await inWorkspaceOf(dependencies, principal, (transaction) => setTrigger(transaction, principal, { id, version }, body));
        return answer(principal, id);
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/triggers/{id}',
      summary: 'Remove a trigger and its deliveries; its runs stay. Needs `If-Match`',
      access: { permission: 'triggers:write' },
      params,
      responses: { 204: null },
      handler: async ({ principal, params: { id }, header }) => {
        const version = tags.need(header('if-match'));
        await inWorkspaceOf(dependencies, principal, (transaction) => removeTrigger(transaction, principal, { id, version }));
        return empty();
      },
    }),
    ...([true, false] as const).map((enabled) =>
      defineRoute({
        method: 'post',
        path: `/v1/triggers/{id}/${enabled ? 'enable' : 'disable'}`,
        summary: enabled ? 'Take deliveries again' : 'Refuse deliveries until it is enabled',
        access: { permission: 'triggers:write' },
        params,
        body: triggerNoteSchema,
        examples: { body: { note: 'the sender moves' } },
        responses: { 200: triggerSchema },
        handler: async ({ principal, params: { id }, body }) => {
          const { workspaceId, principalId: actor } = principal;
          await inWorkspaceOf(dependencies, principal, (transaction) =>
            enableTrigger(transaction, { workspaceId, actor, id, enabled, note: body.note ?? null }),
          );
          return answer(principal, id);
        },
      }),
    ),
    defineRoute({
      method: 'post',
      path: '/v1/triggers/{id}/rotate',
      summary: 'Another secret, shown this once when it is made here; the one before stays good for a day, or as long as you say',
      access: { permission: 'triggers:write' },
      params,
      body: rotateTriggerSchema,
      examples: { body: { keepPreviousMs: 86_400_000 } },
      responses: { 200: madeTriggerSchema },
      handler: async ({ principal, params: { id }, body }) => {
        const secret = await inWorkspaceOf(dependencies, principal, (transaction) => rotateTrigger(transaction, triggers.sealing, principal, { id, ...body }));
        return answer(principal, id, { secret });
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/triggers/{id}/test',
      summary: 'What a trigger would make of a sample, or of a delivery that it has had; starts nothing',
      access: { permission: 'triggers:write' },
      params,
      body: tryDeliverySchema,
      examples: { body: { sample: { headers: { 'x-github-event': 'issues' }, body: { action: 'opened' } } } },
      responses: { 200: triggerTrialSchema },
      handler: async ({ principal, params: { id }, body }) => {
        if ('deliveryId' in body)
          await authorise(principal, 'triggers:read-body', () => findAdministrators(dependencies.system, principal.workspaceId, 'triggers:read-body'));
        return json(
          await inWorkspaceOf(dependencies, principal, async (transaction) => {
            const { definition } = await readTrigger(transaction, id);
            const sample = 'sample' in body ? body.sample : (await openDelivery(transaction, triggers.sealing, id, body.deliveryId)).content;
            return tryMapping(dependencies.evaluator, transaction, { ...definition, sample });
          }),
        );
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/triggers/{id}/deliveries',
      summary: 'What was delivered in the last 7 days and what came of it, newest first',
      access: { permission: 'triggers:read' },
      params,
      query: z.strictObject(pageQuery),
      responses: { 200: listOf(deliverySchema) },
      handler: async ({ principal, params: { id }, query }) =>
        json(
          await inWorkspaceOf(dependencies, principal, (transaction) => listDeliveries(transaction, id, { cursor: query.cursor ?? null, limit: query.limit })),
        ),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/triggers/{id}/deliveries/{delivery}',
      summary: 'A delivery with headers and body, without authorisation, cookies, signatures and what the trigger names as private',
      access: { permission: 'triggers:read-body' },
      params: deliveryParams,
      responses: { 200: deliveryContentSchema },
      handler: async ({ principal, params: { id, delivery } }) =>
        json(await inWorkspaceOf(dependencies, principal, (transaction) => readDelivery(transaction, triggers.sealing, id, delivery))),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/triggers/{id}/deliveries/{delivery}/redeliver',
      summary: 'Run a delivery again, as the trigger is now; a duplicate too. You answer for the run',
      access: { permission: 'triggers:run' },
      params: deliveryParams,
      responses: { 202: deliverySchema },
      handler: async (call) => {
        const { principal } = call;
        const { id, delivery } = call.params;
        const { row, content, bytes } = await inWorkspaceOf(dependencies, principal, async (transaction) => {
          const opened = await openDelivery(transaction, triggers.sealing, id, delivery);
          return { row: await readTrigger(transaction, id), content: opened.content, bytes: opened.delivery.bytes };
        });
        const { deliveryId } = await redeliver(() =>
          deliver(triggers, {
            trigger: row,
            content,
            bytes,
            key: null,
            redelivery: { actor: principal.principalId, responsible: principal.responsible },
            alsoInTransaction: (transaction: Transaction, made) =>
              call.recordEffect(transaction, { status: 202, reference: { triggerId: id, deliveryId: made } }),
          }),
        );
        dependencies.nudgeOutbox();
        return answerRedelivery(principal, id, deliveryId);
      },
      replay: (reference, { principal }) => {
        const { triggerId, deliveryId } = redelivered.parse(reference);
        return answerRedelivery(principal, triggerId, deliveryId);
      },
    }),
  ];
};

/** People, unlike senders, are told why nothing is started. */
async function redeliver<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof RightLost)) throw error;
    throw new KosError({
      code: 'trigger_disabled',
      message: `The trigger starts nothing: ${error.message}`,
      fix: 'Enable it: kai trigger enable NAME',
      status: 409,
    });
  }
}
