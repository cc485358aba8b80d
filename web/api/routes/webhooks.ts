import { createWebhookSchema, madeWebhookSchema, rotateWebhookSchema, setWebhookSchema, webhookSchema } from '#schemas/webhook.ts';
import { createWebhook, rotateWebhook, setWebhook } from '#services/webhooks/change.ts';
import { listWebhooks, readWebhook } from '#services/webhooks/read.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, type Route } from '../route.ts';
import { idParams } from '../shapes.ts';
import { receiverAnswers, type ReceiverRead, receiverRoutes } from './receivers.ts';

const receiver: ReceiverRead = { kind: 'webhook', schema: webhookSchema, list: listWebhooks, read: readWebhook };
const params = idParams('webhook');

export const webhookRoutes = (dependencies: ApiDependencies): Route[] => {
  const answers = receiverAnswers(dependencies, receiver);
  const { tags, answer } = answers;
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
        const { id, secret } = await inWorkspaceOf(dependencies, principal, (transaction) =>
          createWebhook(transaction, dependencies.outgoing.sealing, principal, body),
        );
        return answer(principal, id, { status: 201, secret });
      },
    }),
    ...receiverRoutes(dependencies, receiver, answers),
    defineRoute({
      method: 'put',
      path: '/v1/webhooks/{id}',
      summary: 'Define a webhook anew; its secret stays, and from then on it is told with your rights. Needs `If-Match`',
      access: { permission: 'webhooks:write' },
      params,
      body: setWebhookSchema,
      examples: { body: { url: 'https://billing.example.com/kos', events: ['run.*'], plan: null } },
      responses: { 200: webhookSchema },
      handler: async ({ principal, params: { id }, body, header }) => {
        const version = tags.need(header('if-match'));
        await inWorkspaceOf(dependencies, principal, (transaction) => setWebhook(transaction, principal, { id, version }, body));
        return answer(principal, id);
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/webhooks/{id}/rotate',
      summary: 'Another secret, shown this once; the one before signs, too, for a day, or as long as you say',
      access: { permission: 'webhooks:write' },
      params,
      body: rotateWebhookSchema,
      examples: { body: { keepPreviousMs: 86_400_000 } },
      responses: { 200: madeWebhookSchema },
      handler: async ({ principal, params: { id }, body }) => {
        const secret = await inWorkspaceOf(dependencies, principal, (transaction) =>
          rotateWebhook(transaction, dependencies.outgoing.sealing, principal, { id, ...body }),
        );
        return answer(principal, id, { secret });
      },
    }),
  ];
};
