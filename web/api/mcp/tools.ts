import type { ToolAnnotations } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { inPlainWords } from '#core/schema-words.ts';
import type { Permission } from '#core/policy/permissions.ts';
import { decideApprovalSchema } from '#schemas/approval.ts';
import { idSchema } from '#schemas/ids.ts';
import { asJsonObject, type JsonObject } from '#schemas/json.ts';
import { startRunSchema } from '#schemas/run.ts';
import { decideApproval } from '#services/approvals/decide.ts';
import { readApproval } from '#services/approvals/read.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { invalid } from '../problem.ts';
import { acceptRun } from './accept-run.ts';
import { oncePerKey } from './once.ts';
import { answerRun, longestCallSeconds, runAnswerSchema } from './run-answer.ts';
import type { McpCall, McpTool } from './tool.ts';

export const keySchema = z
  .string()
  .min(1)
  .max(255)
  .describe('Any text of your own: a repeat with the same one takes effect once, and answers as the first did.');
const waitSchema = z.int().min(0).max(longestCallSeconds).describe(`Seconds to wait for the run's end, at most ${longestCallSeconds}.`);
const runId = idSchema('run').describe('Id of the run, run_…');

interface Definition<Input extends z.ZodType<object>> {
  name: string;
  title: string;
  description: string;
  permission: Permission;
  annotations: ToolAnnotations;
  input: Input;
  output: z.ZodType;
  act(dependencies: ApiDependencies, call: McpCall, given: z.output<Input>): Promise<JsonObject>;
}

/** A tool whose types are checked where it is defined and forgotten where it is served. */
function defineTool<Input extends z.ZodType<object>>(definition: Definition<Input>): McpTool {
  const { name, title, description, permission, annotations, input, output } = definition;
  return {
    description: { name, title, description, annotations, inputSchema: objectSchemaOf(input, 'input'), outputSchema: objectSchemaOf(output, 'output') },
    permission,
    changes: annotations.readOnlyHint !== true,
    act: (dependencies, call, given) => {
      const parsed = input.safeParse(given, { error: inPlainWords });
      if (!parsed.success) throw invalid(parsed.error, 'arguments');
      return definition.act(dependencies, call, parsed.data);
    },
  };
}

export function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonObject {
  const { $schema: _dialect, ...keywords } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return asJsonObject(keywords);
}

/** As the protocol wants a tool's schemas: of an object, and said so. */
export const objectSchemaOf = (schema: z.ZodType, io: 'input' | 'output'): JsonObject & { type: 'object' } => ({ ...jsonSchemaOf(schema, io), type: 'object' });

const reads: ToolAnnotations = { readOnlyHint: true, openWorldHint: false };
export const changes: ToolAnnotations = { readOnlyHint: false, destructiveHint: true, openWorldHint: true };

const runTools: readonly McpTool[] = [
  defineTool({
    name: 'run_start',
    title: 'Start a run',
    description: 'Starts a run of any plan of the workspace. It goes on by itself: follow it with run_wait.',
    permission: 'runs:start',
    annotations: changes,
    input: startRunSchema.extend({ idempotencyKey: keySchema.optional(), waitSeconds: waitSchema.default(0) }),
    output: runAnswerSchema,
    act: async (dependencies, call, { idempotencyKey = null, waitSeconds, ...request }) => {
      const { principal } = call;
      const id = await oncePerKey(dependencies.database, { principal, tool: 'run_start', key: idempotencyKey, given: asJsonObject(request) }, (record) =>
        acceptRun(dependencies, call, request, record),
      );
      return answerRun(dependencies, call, id, waitSeconds);
    },
  }),
  defineTool({
    name: 'run_wait',
    title: 'Wait for a run',
    description: `Waits until a run has ended, ${longestCallSeconds} seconds at most, and tells how it stands. Call it again while "finished" is false.`,
    permission: 'runs:read',
    annotations: reads,
    input: z.strictObject({ runId, seconds: waitSchema.default(longestCallSeconds) }),
    output: runAnswerSchema,
    act: (dependencies, call, given) => answerRun(dependencies, call, given.runId, given.seconds),
  }),
  defineTool({
    name: 'run_get',
    title: 'Look at a run',
    description: 'Tells how a run stands: its status, what it waits for, its output or its error, and the approvals that it needs.',
    permission: 'runs:read',
    annotations: reads,
    input: z.strictObject({ runId }),
    output: runAnswerSchema,
    act: (dependencies, call, given) => answerRun(dependencies, call, given.runId, 0),
  }),
];

const approvalAnswerSchema = z.object({ id: z.string(), runId: z.string(), status: z.string(), required: z.int(), approvedBy: z.int() });

const approvalTools: readonly McpTool[] = [
  defineTool({
    name: 'approval_decide',
    title: 'Decide an approval',
    description: 'Approves or denies exactly the arguments that run_get has shown: their digest says which. The decision is recorded under your name.',
    permission: 'approvals:decide',
    annotations: changes,
    input: z.strictObject({
      approvalId: idSchema('approval').describe('Id of the approval, apr_…'),
      decision: z.enum(['approve', 'deny']),
      argumentsDigest: z.string().describe('The argumentsDigest that was shown with the arguments.'),
      reason: z.string().max(2_000).optional(),
      idempotencyKey: keySchema.optional(),
    }),
    output: approvalAnswerSchema,
    act: async (dependencies, call, { approvalId, idempotencyKey = null, ...given }) => {
      const { principal } = call;
      const decision = decideApprovalSchema.safeParse(given, { error: inPlainWords });
      if (!decision.success) throw invalid(decision.error, 'arguments');
      const keyed = { principal, tool: `approval_decide ${approvalId}`, key: idempotencyKey, given: asJsonObject(given) };
      await oncePerKey(dependencies.database, keyed, (record) =>
        inWorkspaceOf(dependencies, principal, async (transaction) => {
          await record(transaction, approvalId);
          await decideApproval(transaction, principal, approvalId, decision.data, {
            listTools: dependencies.listTools,
            validateJson: dependencies.checkJson,
          });
          return approvalId;
        }),
      );
      dependencies.nudgeOutbox();
      return asJsonObject(approvalAnswerSchema.parse(await inWorkspaceOf(dependencies, principal, (transaction) => readApproval(transaction, approvalId))));
    },
  }),
];

/** What the server offers besides the plans that show themselves here. None of their names can be a plan's. */
export const fixedTools: readonly McpTool[] = [...runTools, ...approvalTools];
