import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Response as Answer } from 'express';
import { z } from 'zod';
import type { ApiDependencies } from '../dependencies.ts';
import { assertNotFromElsewhere } from '../guard.ts';
import { type Call, defineRoute, type Route } from '../route.ts';
import { startBodyBytes } from './runs.ts';

export const mcpPath = '/mcp';

/** One of JSON-RPC, or a stream of them. */
const message = { mediaType: 'application/json' };

export const mcpRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'post',
    path: mcpPath,
    summary: 'The MCP server: plans that say `expose: [mcp]` are its tools, and runs are started, waited for and read',
    // Who is let in at all; each tool needs a permission of its own.
    access: { permission: 'self:read' },
    // What starts a run or decides counts as a change besides.
    rate: 'read',
    body: z.unknown(),
    bodyBytes: startBodyBytes,
    examples: { body: { jsonrpc: '2.0', id: 1, method: 'tools/list' } },
    responses: { 200: message, 202: null, 400: message, 404: message, 406: message, 415: message },
    handler: async (call) => {
      assertNotFromElsewhere({ method: 'POST', headers: call.headers() }, dependencies.publicUrl);
      const { principal, signal, traceId, admitChange } = call;
      // Loaded at the first call: the protocol's library costs 14 MB, and many installations never need it.
      const { answerMcp } = await import('../mcp/server.ts');
      const answer = await answerMcp(dependencies, { principal, signal, traceId, admitChange }, asRequest(call, dependencies.publicUrl), call.body);
      return { kind: 'stream', send: (response) => sendAnswer(answer, response) };
    },
  }),
];

/** The request as the protocol's library reads one. Its body has been read already, under our own cap. */
function asRequest(call: Pick<Call<unknown, unknown, unknown>, 'headers' | 'signal'>, publicUrl: string): Request {
  return new Request(new URL(mcpPath, publicUrl), { method: 'POST', headers: call.headers(), signal: call.signal });
}

async function sendAnswer(answer: Response, response: Answer): Promise<void> {
  response.status(answer.status);
  for (const [name, value] of answer.headers) response.setHeader(name, value);
  if (answer.body === null) response.end();
  else await pipeline(Readable.fromWeb(answer.body), response);
}
