import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import type { Credentials } from '#cli/credentials.ts';

/** Opens a stream of server-sent events in a connection of its own; resolves with its answer when it has begun. */
export async function openEventStream({ url, apiKey }: Credentials, path: string): Promise<{ answer: IncomingMessage; close: () => void }> {
  const asked: ClientRequest = request(`${url}${path}`, { agent: false, headers: { authorization: `Bearer ${apiKey}`, accept: 'text/event-stream' } });
  asked.end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  if (answer.statusCode !== 200) throw new Error(`GET ${path} was answered with ${answer.statusCode}.`);
  return { answer, close: () => asked.destroy() };
}
