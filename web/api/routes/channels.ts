import { channelSchema, createChannelSchema, setChannelSchema } from '#schemas/channel.ts';
import { createChannel, setChannel } from '#services/channels/change.ts';
import { listChannels, readChannel } from '#services/channels/row.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, type Route } from '../route.ts';
import { idParams } from '../shapes.ts';
import { receiverAnswers, type ReceiverRead, receiverRoutes } from './receivers.ts';

const receiver: ReceiverRead = { kind: 'channel', schema: channelSchema, list: listChannels, read: readChannel };

export const channelRoutes = (dependencies: ApiDependencies): Route[] => {
  const answers = receiverAnswers(dependencies, receiver);
  return [
    defineRoute({
      method: 'post',
      path: '/v1/channels',
      summary: 'Tell people in Slack, Discord, Teams or elsewhere of failures and of what waits for them. The address is kept as a secret and is never shown',
      access: { permission: 'channels:write' },
      body: createChannelSchema,
      examples: { body: { name: 'on-call', kind: 'slack', url: 'https://hooks.slack.com/services/…', topics: ['run.failed', 'approval.requested'] } },
      responses: { 201: channelSchema },
      handler: async ({ principal, body }) => {
        const id = await inWorkspaceOf(dependencies, principal, (transaction) => createChannel(transaction, dependencies.outgoing.sealing, principal, body));
        return answers.answer(principal, id, { status: 201 });
      },
    }),
    ...receiverRoutes(dependencies, receiver, answers),
    defineRoute({
      method: 'put',
      path: '/v1/channels/{id}',
      summary: 'Define a channel anew; its address stays unless you give another, and from then on it tells with your rights. Needs `If-Match`',
      access: { permission: 'channels:write' },
      params: idParams('channel'),
      body: setChannelSchema,
      examples: { body: { kind: 'slack', topics: ['run.failed'], plan: 'log-triage' } },
      responses: { 200: channelSchema },
      handler: async (call) => {
        const { id } = call.params;
        const version = answers.tags.need(call.header('if-match'));
        await inWorkspaceOf(dependencies, call.principal, (transaction) =>
          setChannel(transaction, dependencies.outgoing.sealing, call.principal, { id, version }, call.body),
        );
        return answers.answer(call.principal, id);
      },
    }),
  ];
};
