import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import pino from 'pino';
import { inject } from 'vitest';
import { projectRoot } from '#config';
import type { JsonObject } from '#schemas/json.ts';
import { isFinalRunStatus, type Run } from '#schemas/run.ts';
import { createArtifactStore } from '#services/artifacts/file-store.ts';
import { startDuties } from '#services/duties/start.ts';
import { createEvaluator } from '#services/expression/evaluator.ts';
import { newId } from '#services/ids.ts';
import { createModelService } from '#services/models/model-service.ts';
import { createPlanCompiler } from '#services/plans/compiler.ts';
import { checkPlan, savePlan } from '#services/plans/save.ts';
import { acceptRun } from '#services/runs/accept.ts';
import { createExecutablePlans, createRunFactsReader } from '#services/runs/executable-plans.ts';
import { readRun } from '#services/runs/read.ts';
import { createSecretService } from '#services/secrets/secrets.ts';
import { createDataConverter } from '#services/temporal/data-converter.ts';
import { connectRunWorkflows } from '#services/temporal/run-workflows.ts';
import { builtinTools, createToolRegistry, describeTool } from '#services/tools/registry.ts';
import type { Tool } from '#services/tools/tool.ts';
import { toolSettings } from '#services/settings/settings.ts';
import { ensureWorkflowBundle } from '#workers/bundle/workflow-bundle.ts';
import { createRunWorker, type RunWorker } from '#workers/create-worker.ts';
import { makeTestDatabase } from './test-database.ts';
import { createTestPayloadSealing } from './test-payload-key.ts';

export type TestEngine = Awaited<ReturnType<typeof makeTestEngine>>;

export interface TestEngineOptions {
  /** Tools of the test's own, beside those of the product. */
  tools?: Tool[];
  openai?: { apiKey: string | undefined; baseUrl: string | undefined };
}

/** Database, queue, worker and duties of one suite's own, on the test run's servers. Closing it replays every history it made. */
export async function makeTestEngine(options: TestEngineOptions = {}) {
  const rig = await makeTestDatabase();
  const servers = inject('servers');
  const home = await mkdtemp(join(tmpdir(), 'kos-engine-'));
  const sealing = createTestPayloadSealing();
  const log = pino({ level: 'silent' });
  const { address, namespace } = servers.temporal;
  const taskQueue = `runs-${randomUUID()}`;
  const bundle = await ensureWorkflowBundle(projectRoot);
  const tools = createToolRegistry([...builtinTools({ home, egress: { forbiddenPorts: () => [] } }), ...(options.tools ?? [])]);
  const evaluator = createEvaluator();
  const models = createModelService({ openai: options.openai ?? { apiKey: undefined, baseUrl: undefined } });
  const artifacts = createArtifactStore({ directory: join(home, 'artifacts') });
  const workflows = connectRunWorkflows({ address, namespace, sealing, taskQueue });
  const workspaceId = newId('workspace');
  await rig.system.sql`insert into kos.workspaces (workspace_id, slug, name) values (${workspaceId}, ${workspaceId}, 'Test')`;
  const compile = createPlanCompiler({ tools: tools.list().map(describeTool), models: [...models.list().map((model) => model.name), 'openai/scripted'] });
  const runIds: string[] = [];

  const startWorker = async (): Promise<{ worker: RunWorker; running: Promise<void> }> => {
    const worker = await createRunWorker({
      address,
      namespace,
      sealing,
      bundle,
      taskQueue,
      dependencies: {
        database: rig.database,
        tools,
        evaluator,
        models,
        artifacts,
        plans: createExecutablePlans({ database: rig.database, tools }),
        facts: createRunFactsReader({ database: rig.database }),
        secrets: createSecretService({ database: rig.database, sealing }),
        toolSettings: async () => toolSettings({ roots: [], egress: [], retention: { runsDays: 90, eventsDays: 30 } }, { home, projectRoot }),
      },
    });
    return { worker, running: worker.run() };
  };

  let current: { worker: RunWorker; running: Promise<void> } | null = await startWorker();
  const stopWorker = async (): Promise<void> => {
    if (current === null) return;
    current.worker.shutdown();
    await current.running;
    await current.worker.close();
    current = null;
  };
  const duties = startDuties({ system: rig.system, workflows, artifacts, home, log, now: Date.now });

  const save = async (source: string): Promise<string> => {
    const plan = checkPlan(compile, source, 'yaml');
    await rig.database.inWorkspace(workspaceId, (transaction) => savePlan(transaction, { workspaceId, actor: 'prn_test', source, plan }));
    return plan.name;
  };

  const start = async (plan: string, input: JsonObject = {}): Promise<string> => {
    const request = { plan, input };
    const accepted = await acceptRun(
      { database: rig.database, validateInput: (schema, given) => evaluator.validateInput(schema, given) },
      { workspaceId, actor: 'prn_test', responsible: 'prn_test', origin: { kind: 'api', id: null }, request },
    );
    runIds.push(accepted.runId);
    duties.nudgeOutbox();
    return accepted.runId;
  };

  const read = (runId: string): Promise<Run> => rig.database.inWorkspace(workspaceId, (transaction) => readRun(transaction, runId));

  const until = async (runId: string, reached: (run: Run) => boolean, timeoutMs = 60_000): Promise<Run> => {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const run = await read(runId);
      if (reached(run)) return run;
      if (performance.now() > deadline) throw new Error(`The run ${runId} is ${run.status} after ${timeoutMs} ms: ${JSON.stringify(run.waitingFor)}`);
      await sleep(20);
    }
  };
  const ended = (runId: string, timeoutMs?: number): Promise<Run> => until(runId, (run) => isFinalRunStatus(run.status), timeoutMs);

  const steps = (runId: string) =>
    rig.database.inWorkspace(
      workspaceId,
      ({ sql }) => sql<{ path: string; status: string; attempt: number; output: unknown; error: { code: string } | null; fence: number }[]>`
        select path, status, attempt, output, error, fence from kos.steps where run_id = ${runId} order by step, item nulls first`,
    );

  const close = async (): Promise<void> => {
    await stopWorker();
    await duties.stop();
    await replayAll({ address, namespace, bundle, workflowIds: runIds });
    await Promise.all([evaluator.close(), workflows.close(), rig.remove()]);
    await rm(home, { recursive: true, force: true });
  };

  return {
    rig, workspaceId, home, workflows, sealing, duties, namespace, address, taskQueue, bundle, runIds, log,
    save, start, read, until, ended, steps, stopWorker, close,
    startWorker: async () => {
      current ??= await startWorker();
    },
    /** Saves and runs a plan to its end. */
    run: async (source: string, input: JsonObject = {}): Promise<Run> => ended(await start(await save(source), input)),
  };
}

/** Replays what these runs left in Temporal against today's code: an edit that would break a run in flight fails here. */
export async function replayAll(options: { address: string; namespace: string; bundle: string; workflowIds: string[] }): Promise<void> {
  const connection = await Connection.connect({ address: options.address });
  const client = new Client({ connection, namespace: options.namespace });
  const sealing = createTestPayloadSealing();
  const dataConverter = createDataConverter({ sealing, namespace: options.namespace, refuse: 'marker' });
  async function* histories(): AsyncIterable<{ workflowId: string; history: History }> {
    for (const workflowId of options.workflowIds) {
      const history = await client.workflow.getHandle(workflowId).fetchHistory().catch(() => null);
      if (history !== null) yield { workflowId, history };
    }
  }
  for await (const result of Worker.runReplayHistories({ workflowBundle: { codePath: options.bundle }, dataConverter }, histories())) {
    if (result.error !== undefined) throw new Error(`The history of ${result.workflowId} does not replay: ${result.error.message}`);
  }
  await connection.close();
}
