import { z } from 'zod';
import type { Principal } from '#core/policy/principal.ts';
import { idSchema } from '#schemas/ids.ts';
import {
  outgoingContentSchema,
  outgoingDeliverySchema,
  outgoingStatuses,
  redeliverDeadSchema,
  redeliveredSchema,
  testResultSchema,
} from '#schemas/outgoing.ts';
import { triggerNameSchema } from '#schemas/trigger.ts';
import { enableReceiverSchema } from '#schemas/webhook.ts';
import type { Transaction } from '#services/database/connect.ts';
import { listOutgoing, readOutgoing } from '#services/outgoing/read.ts';
import { enableReceiver, lockReceiver, type ReceiverKind, removeReceiver } from '#services/outgoing/receivers.ts';
import { redeliver, redeliverDead } from '#services/outgoing/redeliver.ts';
import { testReceiver } from '#services/outgoing/test-receiver.ts';
import type { Page } from '#services/paging/page.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, empty, json, type Reply, type Route } from '../route.ts';
import { idParams, listOf, pageQuery } from '../shapes.ts';
import { versionTags, type VersionTags } from '../version-tag.ts';

/** Something that is told of what happens: how it is listed and read. */
export interface ReceiverRead {
  kind: ReceiverKind;
  schema: z.ZodType;
  list(transaction: Transaction, page: { cursor: string | null; limit: number; name: string | null }): Promise<Page<unknown>>;
  read(transaction: Transaction, id: string): Promise<{ shown: object; version: number }>;
}

export interface ReceiverAnswers {
  tags: VersionTags;
  /** As it is now; `more` stands in it, too. */
  answer(principal: Principal, id: string, more?: { status?: number; secret?: string }): Promise<Reply>;
}

export function receiverAnswers(dependencies: ApiDependencies, { kind, read }: ReceiverRead): ReceiverAnswers {
  const tags = versionTags(kind);
  return {
    tags,
    answer: (principal, id, { status = 200, ...more } = {}) =>
      inWorkspaceOf(dependencies, principal, async (transaction) => {
        const { shown, version } = await read(transaction, id);
        return json({ ...shown, ...more }, status, { ETag: tags.of(version), ...(status === 201 ? { Location: `/v1/${kind}s/${id}` } : {}) });
      }),
  };
}

/** What webhooks and channels have in common: all but how they are made and set. */
export function receiverRoutes(dependencies: ApiDependencies, receiver: ReceiverRead, { tags, answer }: ReceiverAnswers): Route[] {
  const { database, outgoing, publicUrl } = dependencies;
  const { kind, schema } = receiver;
  const path = `/v1/${kind}s`;
  const params = idParams(kind);
  const deliveryParams = z.object({ id: idSchema(kind), delivery: idSchema('outgoing') });
  const redelivered = z.object({ targetId: idSchema(kind), deliveryId: idSchema('outgoing') });
  const reading = { permission: `${kind}s:read` } as const;
  const writing = { permission: `${kind}s:write` } as const;

  const answerRedelivery = (principal: Principal, targetId: string, deliveryId: string): Promise<Reply> =>
    inWorkspaceOf(dependencies, principal, async (transaction) =>
      json(await readOutgoing(transaction, targetId, deliveryId), 202, { Location: `${path}/${targetId}/deliveries/${deliveryId}` }),
    );

  return [
    defineRoute({
      method: 'get',
      path,
      summary: `${kind === 'webhook' ? 'Webhooks' : 'Channels'}, by name`,
      access: reading,
      query: z.strictObject({ ...pageQuery, name: triggerNameSchema.optional() }),
      responses: { 200: listOf(schema) },
      handler: async ({ principal, query: { cursor = null, limit, name = null } }) =>
        json(await inWorkspaceOf(dependencies, principal, (transaction) => receiver.list(transaction, { cursor, limit, name }))),
    }),
    defineRoute({
      method: 'get',
      path: `${path}/{id}`,
      summary: `A ${kind}: where it sends and what, how many deliveries wait and how many are dead letters`,
      access: reading,
      params,
      responses: { 200: schema },
      handler: ({ principal, params: { id } }) => answer(principal, id),
    }),
    defineRoute({
      method: 'delete',
      path: `${path}/{id}`,
      summary: `Remove a ${kind} and its deliveries; what is on its way is not sent. Needs \`If-Match\``,
      access: writing,
      params,
      responses: { 204: null },
      handler: async ({ principal, params: { id }, header }) => {
        const version = tags.need(header('if-match'));
        await inWorkspaceOf(dependencies, principal, (transaction) => removeReceiver(transaction, kind, principal, { id, version }));
        return empty();
      },
    }),
    ...([true, false] as const).map((enabled) =>
      defineRoute({
        method: 'post',
        path: `${path}/{id}/${enabled ? 'enable' : 'disable'}`,
        summary: enabled ? 'Send again, from now on' : 'Send nothing until it is enabled; what happens meanwhile is not sent later',
        access: writing,
        params,
        body: enableReceiverSchema,
        examples: { body: { note: 'the receiver moves' } },
        responses: { 200: schema },
        handler: async ({ principal, params: { id }, body: { note = null } }) => {
          const { workspaceId, principalId: actor } = principal;
          await inWorkspaceOf(dependencies, principal, (transaction) => enableReceiver(transaction, { kind, workspaceId, actor, id, enabled, note }));
          return answer(principal, id);
        },
      }),
    ),
    defineRoute({
      method: 'post',
      path: `${path}/{id}/test`,
      summary: `Send a message of the type \`${kind}.test\` now, and see what came of it`,
      access: writing,
      params,
      responses: { 200: testResultSchema },
      handler: async ({ principal, params: { id }, signal }) => json(await testReceiver({ ...outgoing, database, publicUrl }, principal, id, signal)),
    }),
    defineRoute({
      method: 'get',
      path: `${path}/{id}/deliveries`,
      summary: 'What was sent or is to be, newest first; `status=failed`: dead letters',
      access: reading,
      params,
      query: z.strictObject({ ...pageQuery, status: z.enum(outgoingStatuses).optional() }),
      responses: { 200: listOf(outgoingDeliverySchema) },
      handler: async ({ principal, params: { id }, query: { cursor = null, limit, status = null } }) =>
        json(
          await inWorkspaceOf(dependencies, principal, async (transaction) => {
            await receiver.read(transaction, id);
            return listOutgoing(transaction, id, { cursor, limit, status });
          }),
        ),
    }),
    defineRoute({
      method: 'get',
      path: `${path}/{id}/deliveries/{delivery}`,
      summary: 'A delivery with its body and every try',
      access: reading,
      params: deliveryParams,
      responses: { 200: outgoingContentSchema },
      handler: async ({ principal, params: { id, delivery } }) =>
        json(await inWorkspaceOf(dependencies, principal, (transaction) => readOutgoing(transaction, id, delivery))),
    }),
    defineRoute({
      method: 'post',
      path: `${path}/{id}/deliveries/{delivery}/redeliver`,
      summary: 'Send a delivery that is over again, under the webhook-id that it had',
      access: writing,
      params: deliveryParams,
      responses: { 202: outgoingContentSchema },
      handler: async (call) => {
        const { principal } = call;
        const { id, delivery } = call.params;
        const made = await inWorkspaceOf(dependencies, principal, async (transaction) => {
          await lockReceiver(transaction.sql, kind, id);
          const deliveryId = await redeliver(transaction, principal, id, delivery);
          await call.recordEffect(transaction, { status: 202, reference: { targetId: id, deliveryId } });
          return deliveryId;
        });
        dependencies.nudgeOutbox();
        return answerRedelivery(principal, id, made);
      },
      replay: (reference, { principal }) => {
        const { targetId, deliveryId } = redelivered.parse(reference);
        return answerRedelivery(principal, targetId, deliveryId);
      },
    }),
    defineRoute({
      method: 'post',
      path: `${path}/{id}/redeliver`,
      summary:
        'Send dead letters again, under the webhook-ids that they had: at most 500 at once, the oldest first. Those that were sent again already are left alone',
      access: writing,
      params,
      body: redeliverDeadSchema,
      examples: { body: { since: '2031-01-01T00:00:00Z', type: 'run.failed' }, answers: { 202: { redelivered: 12, more: false } } },
      responses: { 202: redeliveredSchema },
      handler: async (call) => {
        const { principal, body } = call;
        const { id } = call.params;
        const came = await inWorkspaceOf(dependencies, principal, async (transaction) => {
          await lockReceiver(transaction.sql, kind, id);
          const done = await redeliverDead(transaction, principal, id, body);
          await call.recordEffect(transaction, { status: 202, reference: done });
          return done;
        });
        dependencies.nudgeOutbox();
        return json(came, 202);
      },
      replay: async (reference) => json(redeliveredSchema.parse(reference), 202),
    }),
  ];
}
