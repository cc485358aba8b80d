import type { Tool } from '@modelcontextprotocol/server';
import type { Permission } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { ApiDependencies } from '../dependencies.ts';
import type { Call } from '../route.ts';

/** Who calls a tool, and how their call ends. */
export interface McpCall {
  principal: Principal;
  signal: AbortSignal;
  traceId: string;
  admitChange: Call<unknown, unknown, unknown>['admitChange'];
}

/** A tool of the MCP server: as clients see it, who may call it, and what it does. */
export interface McpTool {
  description: Tool;
  permission: Permission;
  /** Its calls count as changes, not as reads. */
  changes: boolean;
  /** Throws KosError. */
  act(dependencies: ApiDependencies, call: McpCall, given: JsonObject): Promise<JsonObject>;
}
