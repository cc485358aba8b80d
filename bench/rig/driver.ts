import { setTimeout as sleep } from 'node:timers/promises';
import { currentRules } from '#core/engine/decide.ts';
import type { JsonObject } from '#schemas/json.ts';
import { isFinalRunStatus, type Run } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { createEvaluator } from '#services/expression/evaluator.ts';
import { createPlanCompiler } from '#services/plans/compiler.ts';
import { assertValid, savePlan } from '#services/plans/save.ts';
import { acceptRun } from '#services/runs/accept.ts';
import { readRun } from '#services/runs/read.ts';
import { builtinTools, createToolRegistry, describeTool } from '#services/tools/registry.ts';
import { floorTaskQueue, type Stack } from './stack.ts';
import { payload } from './plans.ts';

export type Driver = ReturnType<typeof makeDriver>;

const workflowTaskTimeout = 3_000;

/** Starts runs of ours and workflows of the floor, and waits for their ends. */
export function makeDriver(stack: Stack) {
  const { owner, database, workflows, duties, client, floorClient } = stack;
  const { workspaceId, principalId } = owner;
  const tools = createToolRegistry(builtinTools({ home: stack.home, egress: { forbiddenPorts: () => [] } }));
  const compile = createPlanCompiler({ tools: tools.list().map(describeTool), models: [] });
  const evaluator = createEvaluator();
  const shapes = new Map<string, PlanShape>();
  let floorRuns = 0;

  const accept = async (plan: string, input: JsonObject, keepOutbox: boolean): Promise<string> => {
    const accepted = await acceptRun(
      { database, validateInput: evaluator.validateInput, evaluate: evaluator.evaluate },
      {
        workspaceId,
        actor: principalId,
        responsible: principalId,
        origin: { kind: 'api', id: null },
        request: { plan, input },
        alsoInTransaction: async ({ sql }, runId) => {
          if (!keepOutbox) await sql`delete from kos.outbox where run_id = ${runId}`;
        },
      },
    );
    return accepted.runId;
  };

  const read = (runId: string): Promise<Run> => database.inWorkspace(workspaceId, (transaction) => readRun(transaction, runId));

  return {
    read,
    query: <Row extends object>(ask: (sql: TransactionSql) => PromiseLike<readonly Row[]>): Promise<readonly Row[]> =>
      database.inWorkspace(workspaceId, async ({ sql }) => await ask(sql)),
    /** Compiled and checked, not saved. */
    check: (source: string): void => void assertValid(compile(source, 'yaml')),
    async save(source: string): Promise<string> {
      const plan = assertValid(compile(source, 'yaml'));
      await database.inWorkspace(workspaceId, (transaction) => savePlan(transaction, { workspaceId, actor: principalId, source, plan }));
      shapes.set(plan.name, plan.shape);
      return plan.name;
    },
    /** As the API does it: accepted in one transaction, then the outbox looks at once. Answers the run's id. */
    async start(plan: string, input: JsonObject = { payload }): Promise<string> {
      const runId = await accept(plan, input, true);
      duties.nudgeOutbox();
      return runId;
    },
    async ended(runId: string, timeoutMs = 600_000): Promise<Run> {
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        const run = await read(runId);
        if (isFinalRunStatus(run.status)) return run;
        if (performance.now() > deadline) throw new Error(`The run ${runId} is ${run.status} after ${timeoutMs} ms.`);
        await sleep(20);
      }
    },
    /** From the start of the workflow to its close, ms: the span in which the floor is measured. What accepting costs is measured elsewhere. */
    async workflowSpanMs(plan: string): Promise<number> {
      const runId = await accept(plan, { payload }, false);
      const shape = shapes.get(plan) ?? null;
      const since = performance.now();
      await workflows.start({ runId, workspaceId, rules: currentRules, generation: 1, shape, endsInMs: null, windows: [] }, { resume: false });
      await client.workflow.getHandle(runId).result();
      const spanMs = performance.now() - since;
      const run = await read(runId);
      if (run.status !== 'succeeded') throw new Error(`The run ${runId} of ${plan} has ${run.status}: ${run.error?.message ?? ''}`);
      return spanMs;
    },
    async floorSpanMs(workflow: 'linear' | 'linearWithHeartbeat' | 'fanOut', count: number): Promise<number> {
      floorRuns += 1;
      const since = performance.now();
      const handle = await floorClient.workflow.start(workflow, {
        taskQueue: floorTaskQueue,
        workflowId: `floor-${floorRuns}`,
        workflowTaskTimeout,
        args: [count, payload],
      });
      await handle.result();
      return performance.now() - since;
    },
    close: () => evaluator.close(),
  };
}

/** Runs `work` so many times, so many at once. */
export async function repeatedly(times: number, atOnce: number, work: () => Promise<unknown>): Promise<void> {
  let left = times;
  const loop = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await work();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, loop));
}
