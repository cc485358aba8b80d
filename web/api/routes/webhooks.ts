import { z } from 'zod';
import type { Principal } from '#core/policy/principal.ts';
import { idSchema } from '#schemas/ids.ts';
import { outgoingContentSchema, outgoingDeliverySchema, outgoingStatuses, testResultSchema } from '#schemas/outgoing.ts';
import { triggerNameSchema } from '#schemas/trigger.ts';
import { createWebhookSchema, enableWebhookSchema, madeWebhookSchema, rotateWebhookSchema, setWebhookSchema, webhookSchema } from '#schemas/webhook.ts';
import { listOutgoing, readOutgoing } from '#services/outgoing/read.ts';
import { redeliver } from '#services/outgoing/redeliver.ts';
import { createWebhook, enableWebhook, removeWebhook, rotateWebhook, setWebhook } from '#services/webhooks/change.ts';
import { listWebhooks, readShownWebhook } from '#services/webhooks/read.ts';
import { readWebhook } from '#services/webhooks/row.ts';
import { testWebhook } from '#services/webhooks/test.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, empty, json, type Reply, type Route } from '../route.ts';
import { idParams, listOf, pageQuery } from '../shapes.ts';
import { versionTags } from '../version-tag.ts';

const tags = versionTags('webhook');
const params = idParams('webhook');
const deliveryParams = z.object({ id: idSchema('webhook'), delivery: idSchema('outgoing') });
const redelivered = z.object({ webhookId: idSchema('webhook'), deliveryId: idSchema('outgoing') });

export const webhookRoutes = (dependencies: ApiDependencies): Route[] => {
  const { database, outgoing } = dependencies;

  const answer = (principal: Principal, id: string, more: { status?: number; secret?: string } = {}): Promise<Reply> =>
    inWorkspaceOf(dependencies, principal, async (transaction) => {
      const { webhook, version } = await readShownWebhook(transaction, id);
      const { status = 200, ...secret } = more;
      return json({ ...webhook, ...secret }, status, { ETag: tags.of(version), ...(status === 201 ? { Location: `/v1/webhooks/${id}` } : {}) });
    });

  const answerRedelivery = (principal: Principal, webhookId: string, deliveryId: string): Promise<Reply> =>
    inWorkspaceOf(dependencies, principal, async (transaction) =>
      json(await readOutgoing(transaction, webhookId, deliveryId), 202, { Location: `/v1/webhooks/${webhookId}/deliveries/${deliveryId}` }),
    );

  return [
    defineRoute({
      method: 'post',
      path: '/v1/webhooks',
      summary: 'Tell a program outside of events, as Standard Webhooks, as long as you may read runs. The secret that signs is shown this once',
      access: { permission: 'webhooks:write' },
      body: createWebhookSchema,
      examples: { body: { name: 'billing', url: 'https://billing.example.com/kos', events: ['run.succeeded', 'run.failed'], plan: 'invoice' } },
      responses: { 201: madeWebhookSchema },
      handler: async ({ principal, body }) => {
        const made = await inWorkspaceOf(dependencies, principal, (transaction) => createWebhook(transaction, outgoing.sealing, principal, body));
        return answer(principal, made.id, { status: 201, secret: made.secret });
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/webhooks',
      summary: 'Webhooks, by name',
      access: { permission: 'webhooks:read' },
      query: z.strictObject({ ...pageQuery, name: triggerNameSchema.optional() }),
      responses: { 200: listOf(webhookSchema) },
      handler: async ({ principal, query: { cursor = null, limit, name = null } }) =>
        json(await inWorkspaceOf(dependencies, principal, (transaction) => listWebhooks(transaction, { cursor, limit, name }))),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/webhooks/{id}',
      summary: 'A webhook: where it sends and what, how many deliveries wait and how many are dead letters',
      access: { permission: 'webhooks:read' },
      params,
      responses: { 200: webhookSchema },
      handler: ({ principal, params: { id } }) => answer(principal, id),
    }),
    defineRoute({
      method: 'put',
      path: '/v1/webhooks/{id}',
      summary: 'Define a webhook anew; its secret stays, and from then on it is told with your rights. Needs `If-Match`',
      access: { permission: 'webhooks:write' },
      params,
      body: setWebhookSchema,
      responses: { 200: webhookSchema },
      handler: async ({ principal, params: { id }, body, header }) => {
        const version = tags.need(header('if-match'));
        await inWorkspaceOf(dependencies, principal, (transaction) => setWebhook(transaction, principal, { id, version }, body));
        return answer(principal, id);
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/webhooks/{id}',
      summary: 'Remove a webhook and its deliveries; what is on its way is not sent. Needs `If-Match`',
      access: { permission: 'webhooks:write' },
      params,
      responses: { 204: null },
      handler: async ({ principal, params: { id }, header }) => {
        const version = tags.need(header('if-match'));
        await inWorkspaceOf(dependencies, principal, (transaction) => removeWebhook(transaction, principal, { id, version }));
        return empty();
      },
    }),
    ...([true, false] as const).map((enabled) =>
      defineRoute({
        method: 'post',
        path: `/v1/webhooks/{id}/${enabled ? 'enable' : 'disable'}`,
        summary: enabled ? 'Send again, from now on' : 'Send nothing until it is enabled; what happens meanwhile is not sent later',
        access: { permission: 'webhooks:write' },
        params,
        body: enableWebhookSchema,
        responses: { 200: webhookSchema },
        handler: async ({ principal, params: { id }, body: { note = null } }) => {
          const { workspaceId, principalId: actor } = principal;
          await inWorkspaceOf(dependencies, principal, (transaction) => enableWebhook(transaction, { workspaceId, actor, id, enabled, note }));
          return answer(principal, id);
        },
      }),
    ),
    defineRoute({
      method: 'post',
      path: '/v1/webhooks/{id}/rotate',
      summary: 'Another secret, shown this once; the one before signs, too, for a day, or as long as you say',
      access: { permission: 'webhooks:write' },
      params,
      body: rotateWebhookSchema,
      responses: { 200: madeWebhookSchema },
      handler: async ({ principal, params: { id }, body }) => {
        const secret = await inWorkspaceOf(dependencies, principal, (transaction) => rotateWebhook(transaction, outgoing.sealing, principal, { id, ...body }));
        return answer(principal, id, { secret });
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/webhooks/{id}/test',
      summary: 'Send a message of the type `webhook.test` now, and see what came of it',
      access: { permission: 'webhooks:write' },
      params,
      responses: { 200: testResultSchema },
      handler: async ({ principal, params: { id }, signal }) => json(await testWebhook({ ...outgoing, database }, principal, id, signal)),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/webhooks/{id}/deliveries',
      summary: 'What was sent or is to be, newest first; `status=failed`: dead letters',
      access: { permission: 'webhooks:read' },
      params,
      query: z.strictObject({ ...pageQuery, status: z.enum(outgoingStatuses).optional() }),
      responses: { 200: listOf(outgoingDeliverySchema) },
      handler: async ({ principal, params: { id }, query: { cursor = null, limit, status = null } }) =>
        json(
          await inWorkspaceOf(dependencies, principal, async (transaction) => {
            await readWebhook(transaction.sql, id);
            return listOutgoing(transaction, id, { cursor, limit, status });
          }),
        ),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/webhooks/{id}/deliveries/{delivery}',
      summary: 'A delivery with its body and every try',
      access: { permission: 'webhooks:read' },
      params: deliveryParams,
      responses: { 200: outgoingContentSchema },
      handler: async ({ principal, params: { id, delivery } }) =>
        json(await inWorkspaceOf(dependencies, principal, (transaction) => readOutgoing(transaction, id, delivery))),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/webhooks/{id}/deliveries/{delivery}/redeliver',
      summary: 'Send a delivery that is over again, under the webhook-id that it had',
      access: { permission: 'webhooks:write' },
      params: deliveryParams,
      responses: { 202: outgoingContentSchema },
      handler: async (call) => {
        const { principal } = call;
        const { id, delivery } = call.params;
        const made = await inWorkspaceOf(dependencies, principal, async (transaction) => {
          const deliveryId = await redeliver(transaction, principal, id, delivery);
          await call.recordEffect(transaction, { status: 202, reference: { webhookId: id, deliveryId } });
          return deliveryId;
        });
        dependencies.nudgeOutbox();
        return answerRedelivery(principal, id, made);
      },
      replay: (reference, { principal }) => {
        const { webhookId, deliveryId } = redelivered.parse(reference);
        return answerRedelivery(principal, webhookId, deliveryId);
      },
    }),
  ];
};
