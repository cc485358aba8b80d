import { KosError } from '#core/errors.ts';
import type { FaultDetail } from '#core/errors.ts';
import { parseStepPath } from '#core/plan/step-path.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { Transaction } from '#services/database/connect.ts';
import { runNotFound } from '../read.ts';
import type { StepDefinition } from './steps-by-hand.ts';
import type { Gate } from './withdraw-waits.ts';

/** A tool as far as its steps may be ended by hand. */
export interface ToolFacts {
  name: string;
  effect: 'pure' | 'idempotent' | 'effectful';
  outputSchema: JsonObject;
  /** It can say whether its effect happened. */
  reconciles: boolean;
}

export interface StepFacts extends StepDefinition {
  path: string;
  definition: JsonObject;
  /** The path names the `forEach` itself, not an item of it. */
  joins: boolean;
  /** It runs in rounds, and the path names none of them. */
  repeats: boolean;
  /** The step whose failure it stands in for; null: it does not, or the path names a round of it. */
  fallbackOf: string | null;
}

/** What the run's plan says of a step. Throws KosError `run_not_found`, `step_not_found` (404). */
export async function readStepFacts({ sql }: Transaction, runId: string, path: string): Promise<StepFacts> {
  const [row] = await sql<{ document: JsonObject; shape: PlanShape }[]>`
    select v.document, v.shape from kos.runs r join kos.plan_versions v on v.workspace_id = r.workspace_id and v.name = r.plan_name and v.version = r.plan_version
    where r.id = ${runId}`;
  if (row === undefined) throw runNotFound(runId);
  const { id, item, iteration, undo } = parseStepPath(path);
  const steps = row.document['steps'] as Record<string, JsonObject>;
  const number = Object.keys(steps).indexOf(id);
  const definition = steps[id];
  const shape = row.shape.steps[number];
  const loops = shape?.forEach !== undefined;
  if (
    definition === undefined ||
    shape === undefined ||
    (undo && definition['undo'] === undefined) ||
    (item !== null && !loops) ||
    (iteration !== null && (shape.repeat === undefined || (loops && item === null)))
  ) {
    throw new KosError({
      code: 'step_not_found',
      message: `The plan of ${runId} has no step ${JSON.stringify(path)}.`,
      fix: `kai run get ${runId}`,
      status: 404,
    });
  }
  if (undo) return { path, number, kind: 'tool', definition: definition['undo'] as JsonObject, joins: false, repeats: false, fallbackOf: null };
  const fallbackOf = shape.fallbackOf === undefined || iteration !== null ? null : (Object.keys(steps)[shape.fallbackOf] ?? null);
  const joins = loops && item === null;
  const repeats = shape.repeat !== undefined && iteration === null;
  return { path, number, kind: shape.kind, definition, joins, repeats, fallbackOf, gate: gateOf(row.shape, Object.keys(steps), shape.gate) };
}

const gateOf = (shape: PlanShape, ids: string[], gate: number | undefined): Gate | null =>
  gate === undefined ? null : { path: ids[gate] ?? '', number: gate, shape };

/** Holds an output that a person gives against what the plan says the step puts out. Throws KosError `output_invalid` (422, with pointers). */
export async function checkOutput(
  step: StepFacts,
  output: Json,
  tools: readonly ToolFacts[],
  check: (schema: Json, value: Json) => Promise<FaultDetail[]>,
): Promise<void> {
  const each = schemaOf(step, tools);
  const schema = step.joins ? { type: 'array', items: { anyOf: [each, { type: 'null' }] } } : each;
  const faults = await check(schema, output);
  const [first] = faults;
  if (first === undefined) return;
  throw new KosError({
    code: 'output_invalid',
    message: `The output does not fit the step ${step.path}: ${first.pointer || '/'} ${first.message}.`,
    fix: 'Give what the step would have put out.',
    status: 422,
    details: faults.map((fault) => ({ ...fault, pointer: `/output${fault.pointer}` })),
  });
}

function schemaOf({ definition }: StepFacts, tools: readonly ToolFacts[]): JsonObject {
  const { tool, llm, wait, signal } = definition;
  if (isObject(wait)) return isObject(wait['check']) ? checkSchema : timerSchema;
  if (isObject(signal)) return signalSchema(signal);
  if (typeof tool === 'string') return tools.find(({ name }) => name === tool)?.outputSchema ?? {};
  if (isObject(llm)) return (llm['schema'] as JsonObject | undefined) ?? { type: 'string' };
  if ('artifact' in definition) return { type: 'object', required: ['artifactId'], properties: { artifactId: { type: 'string' } } };
  return {};
}

const isObject = (value: Json | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);

const nullable = (type: string): JsonObject => ({ anyOf: [{ type }, { type: 'null' }] });
const timerSchema: JsonObject = { type: 'object', required: ['until'], properties: { until: nullable('string') } };
const checkSchema: JsonObject = {
  type: 'object',
  required: ['met', 'output'],
  properties: { met: { type: 'boolean' }, checks: { type: 'integer' }, at: nullable('string') },
};

/** What it puts out where nothing came in time may stand in for it, too. */
function signalSchema({ schema, onExpiry }: JsonObject): JsonObject {
  if (!isObject(schema)) return {};
  return onExpiry === 'continue' ? { anyOf: [schema, { type: 'null' }] } : schema;
}

/** A repeat under the same key is for tools that recognise one, or can say what came of it. Throws KosError `effect_not_repeatable` (409). */
export function assertRepeatable({ path, definition }: StepFacts, tools: readonly ToolFacts[]): void {
  const tool = tools.find(({ name }) => name === definition['tool']);
  if (tool === undefined || tool.effect !== 'effectful' || tool.reconciles) return;
  throw new KosError({
    code: 'effect_not_repeatable',
    message: `The tool ${tool.name} of ${path} neither recognises a repeat nor can say whether its effect happened: trying it again could double it.`,
    fix: 'Look outside, then say happened (with the output) or did-not.',
    status: 409,
  });
}
