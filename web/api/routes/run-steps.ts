import { z } from 'zod';
import type { Principal } from '#core/policy/principal.ts';
import { type Json, jsonSchema } from '#schemas/json.ts';
import { type Step, stepSchema } from '#schemas/run.ts';
import { assertRepeatable, checkOutput, readStepFacts, type StepFacts } from '#services/runs/actions/step-definition.ts';
import { overrideStep, resolveStep, skipStep, type StepChange } from '#services/runs/actions/steps-by-hand.ts';
import type { Transaction } from '#services/database/connect.ts';
import { readStep } from '#services/runs/read-steps.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, json, type Reply, type Route } from '../route.ts';
import { idParams } from '../shapes.ts';

/** An output is as large as a step's may be. */
const bodyBytes = 8_500_000;

const common = { path: z.string().min(1).max(2_000), reason: z.string().min(1).max(2_000) };
const skipSchema = z.strictObject(common);
const overrideSchema = z.strictObject({ ...common, output: jsonSchema });
const resolveSchema = z
  .strictObject({ ...common, outcome: z.enum(['happened', 'did_not', 'retry']), output: jsonSchema.optional() })
  .refine(({ outcome, output }) => (outcome === 'happened') === (output !== undefined), {
    message: 'goes with the outcome "happened", and only with that',
    path: ['output'],
  });
const referenceSchema = z.object({ runId: z.string(), path: z.string() });

interface StepRoute<Body extends z.ZodType<{ path: string; reason: string }>> {
  verb: string;
  summary: string;
  body: Body;
  example: Json;
  /** What is looked at before anything is written. */
  check: (step: StepFacts, body: z.output<Body>) => Promise<void>;
  act: (transaction: Transaction, change: StepChange, step: StepFacts, body: z.output<Body>) => Promise<void>;
}

/** `POST /v1/runs/{id}/steps/VERB`: answered with the step as it then is. */
function stepRoute<Body extends z.ZodType<{ path: string; reason: string }>>(dependencies: ApiDependencies, action: StepRoute<Body>): Route {
  const answer = (principal: Principal, { runId, path }: z.output<typeof referenceSchema>): Promise<Reply> =>
    inWorkspaceOf(dependencies, principal, async (transaction) => json((await readStep(transaction, runId, path)) satisfies Step, 202));
  return defineRoute({
    method: 'post',
    path: `/v1/runs/{id}/steps/${action.verb}`,
    summary: action.summary,
    access: { permission: 'runs:override' },
    params: idParams('run'),
    body: action.body,
    examples: { body: action.example },
    bodyBytes,
    responses: { 202: stepSchema },
    handler: async (call) => {
      const { principal, params } = call;
      const body = call.body as z.output<Body>;
      const reference = { runId: params.id, path: body.path };
      const step = await inWorkspaceOf(dependencies, principal, (transaction) => readStepFacts(transaction, params.id, body.path));
      await action.check(step, body);
      await inWorkspaceOf(dependencies, principal, async (transaction) => {
        await call.recordEffect(transaction, { status: 202, reference });
        const change = { workspaceId: principal.workspaceId, actor: principal.principalId, ...reference, reason: body.reason };
        await action.act(transaction, change, step, body);
      });
      dependencies.nudgeOutbox();
      return answer(principal, reference);
    },
    replay: (reference, { principal }) => answer(principal, referenceSchema.parse(reference)),
  });
}

export const runStepRoutes = (dependencies: ApiDependencies): Route[] => [
  stepRoute(dependencies, {
    verb: 'override',
    summary: 'Give the output of a step that has not succeeded: it counts as succeeded',
    body: overrideSchema,
    example: { path: 'explain[3]', output: 'The disk was full.', reason: 'written by hand' },
    check: (step, { output }) => checkOutput(step, output, dependencies.listTools(), dependencies.checkJson),
    act: (transaction, change, step, { output }) => overrideStep(transaction, { ...change, output }, step),
  }),
  stepRoute(dependencies, {
    verb: 'skip',
    summary: 'Skip a step that has not succeeded',
    body: skipSchema,
    example: { path: 'notify', reason: 'everybody knows' },
    check: async () => undefined,
    act: (transaction, change, step) => skipStep(transaction, change, step),
  }),
  stepRoute(dependencies, {
    verb: 'resolve',
    summary: 'Say what came of an effect that is uncertain: it happened (with its output), it did not, or try again under its key',
    body: resolveSchema,
    example: { path: 'pay', outcome: 'happened', output: { id: 'tx-17' }, reason: 'it stands in the ledger' },
    check: async (step, { outcome, output }) => {
      if (outcome === 'retry') assertRepeatable(step, dependencies.listTools());
      if (output !== undefined) await checkOutput(step, output, dependencies.listTools(), dependencies.checkJson);
    },
    act: (transaction, change, step, { outcome, output }) =>
      resolveStep(transaction, change, step, outcome === 'happened' ? { outcome, output: output ?? null } : { outcome }),
  }),
];
