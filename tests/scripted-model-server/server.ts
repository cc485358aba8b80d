import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Script, type ChatRequest, type ScriptedReply } from './script.ts';
import { completionBody, errorBody, streamEvents } from './wire.ts';

export type { ScriptedReply } from './script.ts';

export interface ScriptedModelServer {
  /** What `OPENAI_BASE_URL` takes, `/v1` included. */
  url: string;
  /** Every chat request, in order of arrival. */
  requests: ChatRequest[];
  /** Ends the server. Throws when the script ran out, when replies were left over, or when a request was not understood. */
  close(): Promise<void>;
}

/** An OpenAI-compatible server on loopback that says what its script says, once per reply, in order. */
export async function createScriptedModelServer(replies: ScriptedReply[], options: { apiKey?: string } = {}): Promise<ScriptedModelServer> {
  const script = new Script(replies);
  const requests: ChatRequest[] = [];
  const server = createServer((request, response) => {
    answer(request, response, { script, requests, apiKey: options.apiKey }).catch((error: unknown) => {
      script.failures.push(`The scripted server failed: ${String(error)}`);
      response.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/v1`, requests, close: () => close(server, script) };
}

interface Desk {
  script: Script;
  requests: ChatRequest[];
  apiKey: string | undefined;
}

async function answer(request: IncomingMessage, response: ServerResponse, desk: Desk): Promise<void> {
  if (desk.apiKey !== undefined && request.headers.authorization !== `Bearer ${desk.apiKey}`) {
    sendJson(response, 401, errorBody('Incorrect API key provided.', 'invalid_api_key'));
    return;
  }
  if (request.method !== 'POST' || request.url !== '/v1/chat/completions') {
    desk.script.failures.push(`Not part of the script's API: ${request.method} ${request.url}`);
    sendJson(response, 404, errorBody(`Unknown request URL: ${request.method} ${request.url}`, 'unknown_url'));
    return;
  }
  const chat = await readChat(request);
  desk.requests.push(chat);
  const reply = desk.script.take(chat);
  if (reply === null) sendJson(response, 500, errorBody('The script of the model server has no reply left.', 'script_exhausted'));
  else await play(reply, chat, response);
}

async function play(reply: ScriptedReply, chat: ChatRequest, response: ServerResponse): Promise<void> {
  switch (reply.kind) {
    case 'text':
    case 'toolCalls':
    case 'refusal':
      if (chat.stream) return sendStream(response, streamEvents(reply, chat), 'pieceDelayMs' in reply ? reply.pieceDelayMs : undefined);
      return sendJson(response, 200, completionBody(reply, chat));
    case 'error':
      return sendJson(response, reply.status, errorBody(reply.message ?? `Scripted error ${reply.status}`, reply.code ?? null), reply.headers);
    case 'hang':
      return;
    case 'truncated':
      response.writeHead(200, { 'content-type': contentType(chat) });
      response.end(firstHalf(reply.text, chat));
      return;
    case 'broken':
      response.writeHead(200, { 'content-type': contentType(chat), 'content-length': '100000' });
      response.write(firstHalf(reply.text, chat), () => response.destroy());
      return;
    case 'raw':
      response.writeHead(reply.status ?? 200, { 'content-type': reply.contentType ?? 'application/json' });
      response.end(reply.body);
      return;
  }
}

const contentType = (chat: ChatRequest): string => (chat.stream ? 'text/event-stream' : 'application/json');

/** A body that stops inside the answer's text, before any sign of its end. */
function firstHalf(text: string, chat: ChatRequest): string {
  if (chat.stream) return streamEvents({ kind: 'text', text }, chat).slice(0, 2).join('');
  const whole = JSON.stringify(completionBody({ kind: 'text', text }, chat));
  return whole.slice(0, whole.indexOf(JSON.stringify(text)) + 1 + Math.ceil(text.length / 2));
}

async function sendStream(response: ServerResponse, events: string[], delayMs = 0): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  for (const event of events) {
    if (response.destroyed) return;
    response.write(event);
    if (delayMs > 0) await sleep(delayMs);
  }
  response.end();
}

function sendJson(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

async function readChat(request: IncomingMessage): Promise<ChatRequest> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const body = JSON.parse(Buffer.concat(parts).toString()) as Record<string, unknown>;
  const messages = (body['messages'] ?? []) as { content: unknown }[];
  const text = messages.map(({ content }) => (typeof content === 'string' ? content : JSON.stringify(content))).join('\n');
  return { model: String(body['model']), stream: body['stream'] === true, text, body, headers: request.headers };
}

async function close(server: Server, script: Script): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  const complaints = [...script.failures, ...script.leftovers()];
  if (complaints.length > 0) throw new Error(`The scripted model server's script was not followed:\n  ${complaints.join('\n  ')}`);
}
