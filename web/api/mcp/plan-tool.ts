import { isObject } from '#core/plan/validate-input.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { StartRun } from '#schemas/run.ts';
import type { ExposedPlan } from '#services/plans/read.ts';
import { invalid } from '../problem.ts';
import { acceptRun } from './accept-run.ts';
import { oncePerKey } from './once.ts';
import { answerRun, longestCallSeconds, runAnswerSchema } from './run-answer.ts';
import type { McpTool } from './tool.ts';
import { changes, jsonSchemaOf, keySchema, objectSchemaOf } from './tools.ts';

const keyName = 'idempotencyKey';

/** A plan as a tool: the plan's input is the tool's, and what the tool does is a run of it. */
export function toolOfPlan(plan: ExposedPlan): McpTool {
  const { name, description } = plan;
  return {
    description: {
      name,
      title: name,
      description: `${description ?? `Runs the plan ${name}.`}\n\nStarts a durable run and waits up to ${longestCallSeconds} seconds for it; while "finished" is false, go on with run_wait.`,
      annotations: changes,
      inputSchema: inputSchemaOf(plan),
      outputSchema: objectSchemaOf(runAnswerSchema, 'output'),
    },
    permission: 'runs:start',
    changes: true,
    act: async (dependencies, call, given) => {
      const { key, input } = partsOf(plan, given);
      const request: StartRun = { plan: `${name}@${plan.version}`, input };
      const id = await oncePerKey(dependencies.database, { principal: call.principal, tool: name, key, given: input }, (record) =>
        acceptRun(dependencies, call, request, record),
      );
      return answerRun(dependencies, call, id, longestCallSeconds);
    },
  };
}

/** The plan's own schema, with the key beside its properties, unless a property of the plan is called so. */
function inputSchemaOf(plan: ExposedPlan): McpTool['description']['inputSchema'] {
  const schema = plan.input ?? { additionalProperties: false };
  const key = ownsKey(plan) ? {} : { [keyName]: jsonSchemaOf(keySchema, 'input') };
  return { ...schema, type: 'object', properties: { ...propertiesOf(schema), ...key } };
}

const propertiesOf = (schema: JsonObject): JsonObject => (isObject(schema['properties']) ? schema['properties'] : {});

const ownsKey = ({ input }: ExposedPlan): boolean => input !== null && Object.hasOwn(propertiesOf(input), keyName);

/** Throws KosError `request_invalid`. */
function partsOf(plan: ExposedPlan, given: JsonObject): { key: string | null; input: JsonObject } {
  if (ownsKey(plan) || !Object.hasOwn(given, keyName)) return { key: null, input: given };
  const { [keyName]: key, ...input } = given;
  const parsed = keySchema.safeParse(key);
  if (!parsed.success) throw invalid(parsed.error, 'arguments');
  return { key: parsed.data, input };
}
