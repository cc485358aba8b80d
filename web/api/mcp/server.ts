import { type CallToolResult, createMcpHandler, ProtocolError, ProtocolErrorCode, Server, type Tool } from '@modelcontextprotocol/server';
import { can } from '#core/policy/can.ts';
import type { JsonObject } from '#schemas/json.ts';
import { findAdministrators } from '#services/credentials/administrators.ts';
import { listExposedPlans } from '#services/plans/read.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { authorise } from '../guard.ts';
import { toProblem } from '../problem.ts';
import { toolOfPlan } from './plan-tool.ts';
import { fixedTools } from './tools.ts';
import type { McpCall, McpTool } from './tool.ts';

/** Plans in one page of the list of tools. */
const pageSize = 100;

const instructions = `kOS runs plans durably: a run goes on whatever happens to this connection. A plan's tool starts a run and waits for it a short while.
While an answer says "finished": false, call run_wait with its id. A run whose status is "waiting" may need a person: its approvals say for what.`;

/** Answers one request to the MCP server, of the present revision or of an earlier one. Nothing is kept between two requests. */
export function answerMcp(dependencies: ApiDependencies, call: McpCall, request: Request, body: unknown): Promise<Response> {
  const handler = createMcpHandler(() => makeMcpServer(dependencies, call), {
    legacy: 'stateless',
    // There is nothing to subscribe to; a stream that never says anything would only be held open.
    maxSubscriptions: 0,
    onerror: (error) => dependencies.log.debug({ error, traceId: call.traceId }, 'mcp: a request was refused'),
  });
  return handler.fetch(request, body === undefined ? {} : { parsedBody: body });
}

function makeMcpServer(dependencies: ApiDependencies, call: McpCall): Server {
  const server = new Server({ name: 'kos', title: 'kOS', version: dependencies.version }, { capabilities: { tools: {} }, instructions });
  const answer = <Result>(work: Promise<Result>): Promise<Result> => work.catch((error: unknown) => rethrow(dependencies, call, error));
  server.setRequestHandler('tools/list', ({ params }) => answer(listTools(dependencies, call, params?.cursor ?? null)));
  server.setRequestHandler('tools/call', ({ params }) => answer(callTool(dependencies, call, params.name, (params.arguments ?? {}) as JsonObject)));
  return server;
}

/** The protocol's library tells clients what was thrown: of what is unknown that must be no more than any route tells. */
function rethrow({ log }: ApiDependencies, { traceId }: McpCall, error: unknown): never {
  if (error instanceof ProtocolError) throw error;
  const { detail, status } = toProblem(error, traceId, log);
  throw new ProtocolError(status < 500 ? ProtocolErrorCode.InvalidParams : ProtocolErrorCode.InternalError, detail, { traceId });
}

/** Tools that the caller may call; the fixed ones stand on the first page. */
async function listTools(dependencies: ApiDependencies, { principal }: McpCall, cursor: string | null): Promise<{ tools: Tool[]; nextCursor?: string }> {
  const allowed = (tools: readonly McpTool[]): Tool[] => tools.filter(({ permission }) => can(principal, permission)).map(({ description }) => description);
  const fixed = cursor === null ? allowed(fixedTools) : [];
  const plans = await inWorkspaceOf(dependencies, principal, (transaction) => listExposedPlans(transaction, 'mcp', { cursor, limit: pageSize }));
  const tools = [...fixed, ...allowed(plans.items.map(toolOfPlan))];
  return plans.nextCursor === null ? { tools } : { tools, nextCursor: plans.nextCursor };
}

/** What goes wrong in a tool is its answer, so that a model can read it and mend its call. Throws ProtocolError: there is no such tool. */
async function callTool(dependencies: ApiDependencies, call: McpCall, name: string, given: JsonObject): Promise<CallToolResult> {
  const tool = await findTool(dependencies, call, name);
  if (tool === null) throw noSuchTool(name);
  try {
    const { principal } = call;
    await authorise(principal, tool.permission, () => findAdministrators(dependencies.system, principal.workspaceId, tool.permission));
    if (tool.changes) await call.admitChange();
    const answer = await tool.act(dependencies, call, given);
    return { content: [{ type: 'text', text: JSON.stringify(answer) }], structuredContent: answer };
  } catch (error) {
    return { content: [{ type: 'text', text: JSON.stringify(problemOf(dependencies, call, error)) }], isError: true };
  }
}

async function findTool(dependencies: ApiDependencies, { principal }: McpCall, name: string): Promise<McpTool | null> {
  const fixed = fixedTools.find(({ description }) => description.name === name);
  if (fixed !== undefined) return fixed;
  const plans = await inWorkspaceOf(dependencies, principal, (transaction) => listExposedPlans(transaction, 'mcp', { name, cursor: null, limit: 1 }));
  const [plan] = plans.items;
  return plan === undefined ? null : toolOfPlan(plan);
}

function problemOf({ log }: ApiDependencies, { traceId }: McpCall, error: unknown): object {
  const { type: _type, title: _title, status: _status, ...problem } = toProblem(error, traceId, log);
  return problem;
}

const noSuchTool = (name: string): ProtocolError =>
  new ProtocolError(
    ProtocolErrorCode.InvalidParams,
    `There is no tool "${name.slice(0, 200)}" here. A plan is one when its newest version says expose: [mcp].`,
  );
