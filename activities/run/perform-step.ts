import type { CompiledStep } from '#core/plan/compiled.ts';
import { KosError } from '#core/errors.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { Claim } from '#core/engine/claim.ts';
import type { ModelRequest, ModelResult } from '#services/models/model.ts';
import { executeTool } from '#services/tools/execute.ts';
import type { Tool, ToolContext, ToolSettings } from '#services/tools/tool.ts';
import { effectKeyOf } from '#services/runs/ledger/effects.ts';
import type { ModelCallRecord } from '#services/runs/ledger/record-outcome.ts';
import type { TakenStep } from '#services/runs/ledger/take-step.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import { persistently } from './persistently.ts';
import { asObject } from './resolve-input.ts';

/** What a step brought about, before it is on the record. */
export interface Performed {
  output: Json;
  metadata: JsonObject;
  costMicros: number;
  modelCall?: ModelCallRecord;
  /** Content that is in the store already; its row is written with the outcome. */
  artifact?: { name: string; mediaType: string; sha256: string; sizeBytes: number };
}

export interface Performance {
  claim: Claim;
  step: TakenStep;
  compiled: CompiledStep;
  input: Json;
  signal: AbortSignal;
  /** An earlier call under the same effect key has no known outcome. */
  repeated: boolean;
  /** What tools may reach, where it was read ahead. */
  settings?: ToolSettings | undefined;
}

const plain = (output: Json, metadata: JsonObject = {}): Performed => ({ output, metadata, costMicros: 0 });

export function toolOf(dependencies: Pick<RunActivityDependencies, 'tools'>, name: string): Tool {
  const tool = dependencies.tools.get(name);
  if (tool !== undefined) return tool;
  throw new KosError({
    code: 'tool_unknown',
    message: `This installation has no tool called "${name}".`,
    fix: 'List the tools with: kai api GET /v1/tools',
    status: 422,
  });
}

/** Does a step's own work. Throws ToolFailure, ModelFailure or KosError. */
export async function performStep(dependencies: RunActivityDependencies, performance: Performance): Promise<Performed> {
  const { definition } = performance.compiled;
  if ('transform' in definition) return plain(performance.input);
  if ('tool' in definition) return await performTool(dependencies, performance, toolOf(dependencies, definition.tool));
  if ('llm' in definition) return await performModelCall(dependencies, performance);
  if ('artifact' in definition) return await performArtifact(dependencies, performance);
  throw new KosError({ code: 'step_kind_unknown', message: `The step ${performance.step.path} is of a kind that does no work of its own.`, status: 500 });
}

async function performTool(dependencies: RunActivityDependencies, performance: Performance, tool: Tool): Promise<Performed> {
  const context = await makeToolContext(dependencies, performance);
  const output = await executeTool(tool, performance.input, context);
  return plain(output, { tool: tool.name, toolVersion: tool.version });
}

export async function makeToolContext(dependencies: RunActivityDependencies, performance: Performance): Promise<ToolContext> {
  const { claim, step, signal } = performance;
  return {
    workspaceId: claim.workspaceId,
    runId: claim.runId,
    stepPath: step.path,
    effectKey: effectKeyOf(claim.runId, step.path),
    attempt: step.attempt,
    signal,
    settings: performance.settings ?? (await persistently(signal, () => dependencies.toolSettings(claim.workspaceId))),
    openSecret: (handle, host) => persistently(signal, () => dependencies.secrets.open(claim.workspaceId, handle, host)),
  };
}

async function performModelCall(dependencies: RunActivityDependencies, performance: Performance): Promise<Performed> {
  const request = asObject(performance.input);
  const startedAt = globalThis.performance.now();
  const result = await callModel(dependencies, performance, {
    model: textOf(request, 'model'),
    prompt: textOf(request, 'prompt'),
    signal: performance.signal,
    ...(typeof request.system === 'string' ? { system: request.system } : {}),
    ...(request.schema === undefined ? {} : { schema: request.schema }),
    ...(typeof request.maxOutputTokens === 'number' ? { maxOutputTokens: request.maxOutputTokens } : {}),
    ...(typeof request.temperature === 'number' ? { temperature: request.temperature } : {}),
  });
  const { provider, model, usage, costMicros, currency, labels } = result;
  const possiblyBilledTwice = performance.repeated && provider !== 'builtin';
  const modelCall: ModelCallRecord = {
    provider,
    model,
    usage,
    costMicros,
    currency,
    possiblyBilledTwice,
    durationMs: Math.round(globalThis.performance.now() - startedAt),
  };
  const metadata: JsonObject = { provider, model, usage: { ...usage }, labels, ...(possiblyBilledTwice ? { possiblyBilledTwice } : {}) };
  return { output: result.object ?? result.text, metadata, costMicros: costMicros ?? 0, modelCall };
}

/** Its text is passed on while it comes. */
async function callModel({ deltas, models }: RunActivityDependencies, { claim, step }: Performance, request: ModelRequest): Promise<ModelResult> {
  const { workspaceId, runId } = claim;
  const live = deltas.open({ workspaceId, runId, stepPath: step.path, attempt: step.attempt, call: step.fence });
  try {
    return await models.call({ ...request, onDelta: live.add });
  } finally {
    await live.end();
  }
}

async function performArtifact(dependencies: RunActivityDependencies, performance: Performance): Promise<Performed> {
  const request = asObject(performance.input);
  const name = textOf(request, 'name');
  const isText = typeof request.content === 'string';
  const content = typeof request.content === 'string' ? request.content : `${JSON.stringify(request.content ?? null, null, 2)}\n`;
  const mediaType = typeof request.mediaType === 'string' ? request.mediaType : mediaTypeOf(name, isText);
  const stored = await dependencies.artifacts.putArtifact(performance.claim.workspaceId, Buffer.from(content));
  return {
    output: null,
    metadata: { sha256: stored.sha256 },
    costMicros: 0,
    artifact: { name, mediaType, sha256: stored.sha256, sizeBytes: stored.sizeBytes },
  };
}

function mediaTypeOf(name: string, isText: boolean): string {
  if (name.endsWith('.md')) return 'text/markdown';
  if (name.endsWith('.csv')) return 'text/csv';
  if (name.endsWith('.json') || !isText) return 'application/json';
  return 'text/plain';
}

/** A field that must be text once its expressions are evaluated. */
function textOf(input: JsonObject, field: string): string {
  const value = input[field];
  if (typeof value === 'string') return value;
  throw new KosError({
    code: 'step_input_invalid',
    message: `"${field}" must be text; its expressions gave ${JSON.stringify(value ?? null).slice(0, 200)}.`,
    fix: `Let "${field}" give text.`,
    status: 422,
  });
}
