import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import { mayReadDeltas, mayReadEvent, mayReadTopic } from '#core/policy/event-rights.ts';
import type { Principal } from '#core/policy/principal.ts';
import { eventEnvelopeSchema, eventSchema, type KosEvent, type StreamTopic, streamTopics, topicOf } from '#schemas/event.ts';
import { idSchema } from '#schemas/ids.ts';
import { readRun } from '#services/runs/read.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { positionQuery, readPage, recordOf, wantsStream } from '../event-page.ts';
import { sendEvents } from '../event-socket.ts';
import { streamEvents } from '../event-stream.ts';
import type { FeedRequest } from '../event-feed.ts';
import { assertSocketOrigin } from '../guard.ts';
import { defineRoute, json, type Route } from '../route.ts';
import { anyOf } from '../shapes.ts';

const choiceQuery = { after: positionQuery.after, topic: anyOf(streamTopics), run: idSchema('run').optional() };

interface Choice {
  after?: string | undefined;
  topic?: StreamTopic[] | undefined;
  run?: string | undefined;
}

interface Reader {
  principal: Principal;
  present(): Principal;
  header(name: string): string | undefined;
  signal: AbortSignal;
}

export const eventRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/v1/events',
    summary:
      'Events of the workspace that the caller may read: a stream (SSE) of what comes, or of all after `Last-Event-ID` or `after`; a page from the oldest on when JSON is asked for',
    access: { permission: 'self:read' },
    rate: 'stream',
    query: z.strictObject({ ...choiceQuery, limit: positionQuery.limit }),
    responses: { 200: recordOf(eventSchema) },
    handler: async (call) => {
      const feed = await feedOf(dependencies, call, call.query);
      if (wantsStream(call.header('accept'))) return { kind: 'stream', send: (response) => streamEvents(response, dependencies, feed) };
      const page = await readPage(dependencies, feed.scope, feed.after, call.query.limit);
      return json({ ...page, items: page.items.filter(feed.wanted) });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/v1/ws',
    summary:
      'The events of `GET /v1/events` as a WebSocket, from server to client only, each as `{ id, type, agent, task_id, payload, timestamp, position }`; `ready` and `reset` tell of the stream itself, `model.delta` is text of a model call as it comes',
    access: { permission: 'self:read' },
    rate: 'stream',
    query: z.strictObject(choiceQuery),
    responses: { 101: eventEnvelopeSchema },
    handler: async (call) => {
      assertSocketOrigin(call.header('origin'), { via: call.principal.via, publicUrl: dependencies.publicUrl });
      const feed = await feedOf(dependencies, call, call.query);
      return { kind: 'socket', serve: (socket) => sendEvents(socket, dependencies, feed) };
    },
  }),
];

/** What a reader gets. Throws KosError `run_not_found` (404), `permission_missing` (403). */
async function feedOf(
  dependencies: ApiDependencies,
  reader: Reader,
  { after, topic, run }: Choice,
): Promise<FeedRequest & { wanted: (event: KosEvent) => boolean }> {
  const { principal, present, signal } = reader;
  topic?.forEach((one) => assertReadable(principal, one));
  if (run !== undefined) await inWorkspaceOf(dependencies, principal, (transaction) => readRun(transaction, run));
  return {
    scope: { workspaceId: principal.workspaceId, runId: run ?? null },
    after: reader.header('last-event-id') ?? after ?? null,
    signal,
    wanted: ({ type }) => (topic === undefined || topic.includes(topicOf(type))) && mayReadEvent(present(), type),
    wantsDeltas: () => (topic === undefined || topic.includes('model')) && mayReadDeltas(present()),
  };
}

/** Nobody waits for what will never come. */
function assertReadable(principal: Principal, topic: StreamTopic): void {
  if (mayReadTopic(principal, topic)) return;
  throw new KosError({
    code: 'permission_missing',
    message: `You may not read events about ${topic}.`,
    fix: 'Leave the topic out, or ask for the permission: kai whoami --permissions shows what you have. Who can grant it: an admin of this workspace.',
    status: 403,
  });
}
