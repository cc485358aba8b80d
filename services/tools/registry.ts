import { z } from 'zod';
import { validateJson } from '#core/plan/json-schema.ts';
import type { JsonObject } from '#schemas/json.ts';
import { type FileToolOptions, fileTools } from '#services/tools/files/tools.ts';
import { type HttpToolOptions, httpTools } from '#services/tools/http/tools.ts';
import { type JsonCheck, jsonTools } from '#services/tools/json.ts';
import { logTools } from '#services/tools/log/cluster.ts';
import { textTools } from '#services/tools/text.ts';
import type { Tool, ToolEffect, ToolRegistry } from '#services/tools/tool.ts';

const namePattern = /^[a-z][a-zA-Z0-9]*(\.[a-z][a-zA-Z0-9]*)+$/;

/** Refuses doubled and misspelt names at construction: they are a mistake of the build, not of a user. */
export function createToolRegistry(tools: readonly Tool[]): ToolRegistry {
  const byName = new Map<string, Tool>();
  for (const tool of tools) {
    if (!namePattern.test(tool.name)) throw new Error(`The tool name ${tool.name} is not of the form room.action`);
    if (byName.has(tool.name)) throw new Error(`Two tools are named ${tool.name}`);
    byName.set(tool.name, tool);
  }
  const sorted = [...byName.values()].toSorted((a, b) => a.name.localeCompare(b.name));
  return { get: (name) => byName.get(name), list: () => [...sorted] };
}

export interface BuiltinToolOptions {
  /** `$KOS_HOME`, absolute: closed to tools but for `logs` and `workspace`. */
  home: FileToolOptions['home'];
  egress: HttpToolOptions['egress'];
  /** For `json.validate`. Default: in this thread, which is for describing tools and for tests. */
  checkJson?: JsonCheck;
}

const checkHere: JsonCheck = async (schema, value) => validateJson(schema, value);

/** Every tool that comes with kOS. */
export function builtinTools(options: BuiltinToolOptions): Tool[] {
  return [
    ...fileTools({ home: options.home }),
    ...logTools({ home: options.home }),
    ...httpTools({ egress: options.egress }),
    ...textTools,
    ...jsonTools(options.checkJson ?? checkHere),
  ];
}

/** A tool as data: what plans are checked against and people read. Schemas are JSON Schema 2020-12. */
export interface ToolDescription {
  name: string;
  version: number;
  description: string;
  effect: ToolEffect;
  /** It mostly answers within milliseconds. */
  quick: boolean;
  /** It can say whether its effect happened. */
  reconciles: boolean;
  /** No rule may approve its calls. */
  alwaysAsk: boolean;
  inputSchema: JsonObject;
  outputSchema: JsonObject;
  limits: Tool['limits'];
}

export function describeTool(tool: Tool): ToolDescription {
  return {
    name: tool.name,
    version: tool.version,
    description: tool.description,
    effect: tool.effect,
    quick: tool.quick ?? false,
    reconciles: tool.reconcile !== undefined,
    alwaysAsk: tool.alwaysAsk ?? false,
    inputSchema: z.toJSONSchema(tool.input, { io: 'input' }) as JsonObject,
    outputSchema: z.toJSONSchema(tool.output, { io: 'output' }) as JsonObject,
    limits: tool.limits,
  };
}
