import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { inject } from 'vitest';
import { environment, projectRoot } from '#config';
import type { JsonObject } from '#schemas/json.ts';
import { isFinalRunStatus, type Run, type StartRun, type StepStatus } from '#schemas/run.ts';
import { startOutbox } from '#services/duties/outbox.ts';
import { reconcile, startReconciler } from '#services/duties/reconciler.ts';
import { startScheduleSync } from '#services/duties/schedules.ts';
import { createEvaluator } from '#services/expression/evaluator.ts';
import { newId } from '#services/ids.ts';
import { createPlanCompiler } from '#services/plans/compiler.ts';
import { checkText } from '#services/plans/called-plans.ts';
import { assertValid, savePlan } from '#services/plans/save.ts';
import { acceptRun } from '#services/runs/accept.ts';
import type { Transaction } from '#services/database/connect.ts';
import type { RunChange } from '#services/runs/actions/locked-run.ts';
import { requestCancel } from '#services/runs/change.ts';
import { readRun } from '#services/runs/read.ts';
import { connectRunWorkflows } from '#services/temporal/run-workflows.ts';
import { describeTool } from '#services/tools/registry.ts';
import { ensureWorkflowBundle } from '#workers/bundle/workflow-bundle.ts';
import { type EngineFacts, type EngineWorker, makeModels, makeTools, startEngineWorker } from './engine-worker.ts';
import { quietRuntime } from './quiet-runtime.ts';
import { deleteExecutions } from './lost-store.ts';
import { replayAll } from './replay.ts';
import type { TestServers } from './servers.ts';
import { makeTestDatabase } from './test-database.ts';
import { createTestPayloadSealing } from './test-payload-key.ts';

export type TestEngine = Awaited<ReturnType<typeof makeTestEngine>>;

export interface TestEngineOptions {
  egress?: string[];
  /** An OpenAI-compatible server: the alias `fast` then stands for `openai/scripted`. */
  openaiUrl?: string;
  /** Where artifacts are kept; default: in the engine's home. */
  artifacts?: string;
  /** Default: those of the test run. */
  servers?: TestServers;
  /** False: no worker in this process. */
  worker?: boolean;
  /** False: rounds of the reconciler are the test's own. */
  reconciler?: boolean;
  /** Runs of the workspace that may be at work at once; default: as many as come. */
  usualBound?: number;
  /** On the disk of KOS_HOME; default: more than enough. */
  freeBytes?: () => Promise<number>;
}

export interface StepView {
  path: string;
  status: StepStatus;
  attempt: number;
  output: unknown;
  error: { code: string; message: string } | null;
  fence: number;
  metadata: JsonObject;
}

export interface WorkerProcess {
  child: ChildProcess;
  /** SIGKILL. */
  kill: () => Promise<void>;
}

const shiftedClock = new URL('./shifted-clock.ts', import.meta.url).href;
const workerProgram = fileURLToPath(new URL('./worker-process.ts', import.meta.url));

/** Most waits are short. A long one, looked at as often, would take processor time from what it waits for. */
const pauseBetweenLooks = (since: number): Promise<void> => sleep(performance.now() - since < 1_000 ? 20 : 50);

/** Database, queue, worker and duties of one suite's own, on the test run's servers. Closing it replays every history it made. */
export async function makeTestEngine(options: TestEngineOptions = {}) {
  const log = pino({ level: 'silent' });
  quietRuntime();
  const servers = options.servers ?? inject('servers');
  const rig = await makeTestDatabase(servers);
  const home = await mkdtemp(join(tmpdir(), 'kos-engine-'));
  await mkdir(join(home, 'workspace'));
  const sealing = createTestPayloadSealing();
  const { address, namespace } = servers.temporal;
  const taskQueue = `runs-${randomUUID()}`;
  const bundle = await ensureWorkflowBundle(projectRoot);
  const facts: EngineFacts = {
    database: rig.addresses.app,
    temporal: servers.temporal,
    taskQueue,
    home,
    egress: options.egress ?? [],
    openaiUrl: options.openaiUrl ?? null,
    artifacts: options.artifacts ?? null,
  };
  const evaluator = createEvaluator();
  const tools = makeTools(home);
  const models = makeModels(facts.openaiUrl);
  const workflows = connectRunWorkflows({ address, namespace, sealing, taskQueue });
  const workspaceId = newId('workspace');
  await rig.system.sql`insert into kos.workspaces (workspace_id, slug, name) values (${workspaceId}, ${workspaceId}, 'Test')`;
  const compile = createPlanCompiler({ tools: tools.list().map(describeTool), models: [...models.list().map((model) => model.name), 'openai/scripted'] });
  const runIds: string[] = [];
  const processes: ChildProcess[] = [];

  let worker: EngineWorker | null = options.worker === false ? null : await startEngineWorker(facts);
  const stopWorker = async (): Promise<void> => {
    await worker?.stop();
    worker = null;
  };
  const sending = { system: rig.system, workflows, log };
  const accepting = { database: rig.database, validateInput: evaluator.validateInput, evaluate: evaluator.evaluate };
  const outbox = startOutbox({
    ...sending,
    accepting,
    freeBytes: options.freeBytes ?? (async () => Number.POSITIVE_INFINITY),
    usualBound: () => options.usualBound ?? null,
  });
  const schedules = startScheduleSync({ system: rig.system, door: workflows.schedules, log });
  const reconciler = options.reconciler === false ? null : startReconciler(sending);

  const save = async (source: string): Promise<string> => {
    const plan = assertValid(await checkText(rig.database, compile, { workspaceId, source, format: 'yaml' }));
    await rig.database.inWorkspace(workspaceId, (transaction) => savePlan(transaction, { workspaceId, actor: 'prn_test', source, plan }));
    return plan.name;
  };

  const start = async (plan: string, input: JsonObject = {}, more: Pick<StartRun, 'startAt' | 'deadlineAt' | 'timeoutMs' | 'cache'> = {}): Promise<string> => {
    const accepted = await acceptRun(accepting, {
      workspaceId,
      actor: 'prn_test',
      responsible: 'prn_test',
      origin: { kind: 'api', id: null },
      request: { plan, input, ...more },
    });
    runIds.push(accepted.runId);
    outbox.nudge();
    return accepted.runId;
  };

  const read = (runId: string): Promise<Run> => rig.database.inWorkspace(workspaceId, (transaction) => readRun(transaction, runId));

  const steps = (runId: string, path: string | null = null): Promise<StepView[]> =>
    rig.database.inWorkspace(
      workspaceId,
      ({ sql }) => sql<StepView[]>`
        select path, status, attempt, output, error, fence, metadata from kos.steps
        where run_id = ${runId} and (${path}::text is null or path = ${path}) order by step, item nulls first`,
    );

  const statusesOf = async (runId: string): Promise<[string, StepStatus][]> => (await steps(runId)).map(({ path, status }) => [path, status]);

  /** Lines of a file in the engine's home, where tools leave their traces. */
  const linesOf = async (name: string): Promise<string[]> =>
    (await readFile(join(home, name), 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');

  const until = async (runId: string, reached: (run: Run) => boolean, timeoutMs = 240_000): Promise<Run> => {
    const since = performance.now();
    for (;;) {
      const run = await read(runId);
      if (reached(run)) return run;
      if (performance.now() > since + timeoutMs) {
        const open = (await steps(runId)).filter(({ status }) => status !== 'succeeded').slice(0, 5);
        throw new Error(`The run ${runId} is ${run.status} after ${timeoutMs} ms: ${JSON.stringify({ waitingFor: run.waitingFor, open })}`);
      }
      await pauseBetweenLooks(since);
    }
  };
  const ended = (runId: string, timeoutMs?: number): Promise<Run> => until(runId, (run) => isFinalRunStatus(run.status), timeoutMs);

  const untilStep = async (runId: string, path: string, status: StepStatus, timeoutMs = 240_000): Promise<StepView> => {
    const since = performance.now();
    for (;;) {
      const [step] = await steps(runId, path);
      if (step?.status === status) return step;
      if (performance.now() > since + timeoutMs) throw new Error(`${path} of ${runId} is ${step?.status ?? 'not begun'} after ${timeoutMs} ms, not ${status}`);
      await pauseBetweenLooks(since);
    }
  };

  /** What a person does to a run, as the API would. */
  const act = async <Result>(runId: string, action: (transaction: Transaction, change: RunChange) => Promise<Result>): Promise<Result> => {
    const result = await rig.database.inWorkspace(workspaceId, (transaction) => action(transaction, { workspaceId, actor: 'prn_test', runId }));
    outbox.nudge();
    return result;
  };

  const cancel = (runId: string, reason: string | null = null): Promise<void> =>
    act(runId, (transaction, change) => requestCancel(transaction, { ...change, reason }));
  /** The run's executions, its windows' too, are gone from Temporal as with its store; the reconciler (of a round of the test's own) resumes it. */
  const loseWorkflow = async (runId: string): Promise<void> => {
    await deleteExecutions({ address, namespace }, runId);
    // A young run is left alone for some seconds.
    const generationOf = () => rig.system.sql<{ generation: number }[]>`select generation from kos.runs where id = ${runId}`;
    const [before] = await generationOf();
    while ((await generationOf())[0]?.generation === before?.generation) {
      await reconcile(sending);
      await sleep(200);
    }
    outbox.nudge();
  };

  /** Audit entries of a run, or of what belongs to it. */
  const audit = (subject: string) =>
    rig.system.sql<
      { action: string; actor: string; data: JsonObject }[]
    >`select action, actor, data from kos.audit_entries where subject = ${subject} order by at, id`;

  const close = async (): Promise<void> => {
    for (const child of processes) await endProcess(child);
    await stopWorker();
    await Promise.all([outbox.stop(), schedules.stop(), reconciler?.stop()]);
    await replayAll({ address, namespace, bundle, workflowIds: runIds });
    await Promise.all([evaluator.close(), workflows.close(), rig.remove()]);
    await rm(home, { recursive: true, force: true });
  };

  return {
    rig,
    workspaceId,
    home,
    workflows,
    sealing,
    evaluator,
    nudge: () => {
      outbox.nudge();
      schedules.nudge();
    },
    namespace,
    address,
    taskQueue,
    bundle,
    runIds,
    log,
    facts,
    save,
    start,
    read,
    until,
    ended,
    steps,
    statusesOf,
    linesOf,
    untilStep,
    act,
    cancel,
    loseWorkflow,
    audit,
    stopWorker,
    close,
    startWorker: async () => {
      worker ??= await startEngineWorker(facts);
    },
    /** A worker in a process of its own, whose clock may be wrong; `kill` is SIGKILL. */
    startWorkerProcess: async ({ clockOffsetMs = 0 } = {}): Promise<WorkerProcess> => {
      const child = fork(workerProgram, [JSON.stringify(facts)], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        ...(clockOffsetMs === 0 ? {} : { execArgv: ['--import', shiftedClock], env: { ...environment, KOS_TEST_CLOCK_OFFSET_MS: String(clockOffsetMs) } }),
      });
      processes.push(child);
      await once(child, 'message');
      return { child, kill: () => endProcess(child) };
    },
    /** Leaves this worker's process as the only one; null: none. */
    stopOthers: async (worker: WorkerProcess | null): Promise<void> => {
      for (const child of processes) if (child !== worker?.child) await endProcess(child);
    },
    /** Saves and runs a plan to its end. */
    run: async (source: string, input: JsonObject = {}): Promise<Run> => ended(await start(await save(source), input)),
  };
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
