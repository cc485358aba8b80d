import pino from 'pino';
import { projectRoot } from '#config';
import { createArtifactStore } from '#services/artifacts/file-store.ts';
import type { ArtifactStore } from '#services/artifacts/store.ts';
import type { DatabaseAddress } from '#services/database/address.ts';
import { connectDatabase } from '#services/database/connect.ts';
import { createDeltaPost } from '#services/deltas/post.ts';
import { createEvaluator } from '#services/expression/evaluator.ts';
import { createModelService } from '#services/models/model-service.ts';
import { createExecutablePlans, createRunFactsReader } from '#services/runs/executable-plans.ts';
import { createFixedSealing } from '#services/sealing/sealing.ts';
import { createSecretService } from '#services/secrets/secrets.ts';
import { builtInRoots, toolSettings } from '#services/settings/settings.ts';
import { builtinTools, createToolRegistry } from '#services/tools/registry.ts';
import type { ToolRegistry } from '#services/tools/tool.ts';
import { announceWorker } from '#services/workers/presence.ts';
import { ensureWorkflowBundle } from '#workers/bundle/workflow-bundle.ts';
import { createRunWorker } from '#workers/create-worker.ts';
import { join } from 'node:path';
import { createTestPayloadSealing } from './test-payload-key.ts';
import { testTools } from './test-tools.ts';

/** Everything a worker of a test stands on; plain JSON, so that it crosses to another process. */
export interface EngineFacts {
  database: DatabaseAddress;
  temporal: { address: string; namespace: string };
  taskQueue: string;
  home: string;
  /** host:port pairs that tools may connect to. */
  egress: string[];
  openaiUrl: string | null;
  /** Where artifacts are kept; null: in `home`. */
  artifacts: string | null;
}

export interface EngineWorker {
  stop(): Promise<void>;
}

export const makeTools = (home: string): ToolRegistry => createToolRegistry([...builtinTools({ home, egress: { forbiddenPorts: () => [] } }), ...testTools]);

export const makeModels = (openaiUrl: string | null): ReturnType<typeof createModelService> =>
  createModelService({ openai: { apiKey: openaiUrl === null ? undefined : 'test', baseUrl: openaiUrl ?? undefined, aliases: { fast: 'scripted' } } });

export const makeArtifacts = (facts: Pick<EngineFacts, 'home' | 'artifacts'>): ArtifactStore =>
  createArtifactStore({ directory: facts.artifacts ?? join(facts.home, 'artifacts') });

/** A worker as the product's own is, but for tools that misbehave and keys that everybody knows. */
export async function startEngineWorker(facts: EngineFacts): Promise<EngineWorker> {
  const database = connectDatabase(facts.database, { max: 12, applicationName: 'kos-test-worker' });
  const evaluator = createEvaluator();
  const tools = makeTools(facts.home);
  const settings = toolSettings({ roots: [], egress: facts.egress }, builtInRoots({ home: facts.home, projectRoot }));
  const secretSealing = createFixedSealing({ purpose: 'secret', key: Buffer.alloc(32, 3) });
  const log = pino({ level: 'silent' });
  const deltas = createDeltaPost({ database, log });
  const worker = await createRunWorker({
    ...facts.temporal,
    taskQueue: facts.taskQueue,
    sealing: createTestPayloadSealing(),
    bundle: await ensureWorkflowBundle(projectRoot),
    dependencies: {
      database,
      tools,
      evaluator,
      models: makeModels(facts.openaiUrl),
      deltas,
      artifacts: makeArtifacts(facts),
      plans: createExecutablePlans({ database, tools }),
      facts: createRunFactsReader({ database }),
      secrets: createSecretService({ database, sealing: secretSealing }),
      toolSettings: async () => settings,
    },
    outgoing: { sealing: secretSealing, egress: { forbiddenPorts: () => [] }, allowedHosts: async () => facts.egress },
  });
  const running = worker.run();
  const leave = announceWorker({ address: facts.database, log });
  return {
    stop: async () => {
      worker.shutdown();
      await leave();
      await running;
      await Promise.all([worker.close(), evaluator.close(), deltas.close()]);
      await database.close();
    },
  };
}
