import type { CompiledStep } from '#core/plan/compiled.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { ExpressionEvaluator } from './dependencies.ts';

/**
 * What a step works on, with every expression evaluated and every prompt rendered. This is what an approval shows and what its digest covers;
 * secrets stay handles. transform: `{ value }`; tool: its input; llm: `{ model, system?, prompt, … }`; artifact: `{ name, content, mediaType }`.
 */
export async function resolveInput(evaluator: ExpressionEvaluator, step: CompiledStep, scope: Scope): Promise<Json> {
  const value = await evaluator.evaluate(step.input, scope);
  const { definition } = step;
  if ('llm' in definition) return await resolveModelRequest(evaluator, definition.llm, asObject(value));
  return value;
}

type ModelDefinition = Extract<CompiledStep['definition'], { llm: unknown }>['llm'];

async function resolveModelRequest(evaluator: ExpressionEvaluator, llm: ModelDefinition, evaluated: JsonObject): Promise<JsonObject> {
  const variables = asObject(evaluated.with ?? {});
  const request: JsonObject = { model: evaluated.model ?? llm.model, prompt: await evaluator.renderPrompt(llm.prompt, variables) };
  if (llm.system !== undefined) request.system = await evaluator.renderPrompt(llm.system, variables);
  if (llm.schema !== undefined) request.schema = llm.schema;
  if (llm.maxOutputTokens !== undefined) request.maxOutputTokens = llm.maxOutputTokens;
  if (llm.temperature !== undefined) request.temperature = llm.temperature;
  return request;
}

export const asObject = (value: Json): JsonObject => (typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {});
