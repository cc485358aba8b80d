import { join } from 'node:path';
import { environment, projectRoot, readConfiguration } from '#config';
import { createArtifactStore } from '#services/artifacts/file-store.ts';
import { connectDatabase } from '#services/database/connect.ts';
import { createDeltaPost } from '#services/deltas/post.ts';
import { endWithSupervisor, makeOwnPortsReader, readPartFacts } from '#services/embedded/part.ts';
import { settleHeap } from '#services/embedded/settle-heap.ts';
import { createEvaluator } from '#services/expression/evaluator.ts';
import { createLog } from '#services/logging/log.ts';
import { createModelService } from '#services/models/model-service.ts';
import { createExecutablePlans, createRunFactsReader } from '#services/runs/executable-plans.ts';
import { createSealing } from '#services/sealing/sealing.ts';
import { configuredSecurity } from '#services/temporal/security.ts';
import { createSecretService } from '#services/secrets/secrets.ts';
import { builtInRoots, createSettingsReader, toolSettings } from '#services/settings/settings.ts';
import { builtinTools, createToolRegistry } from '#services/tools/registry.ts';
import { announceWorker } from '#services/workers/presence.ts';
import { ensureWorkflowBundle } from './bundle/workflow-bundle.ts';
import { createRunWorker, installRuntime } from './create-worker.ts';

/** The worker process: everything it stands on is made here, and nowhere else. A crash ends it; the supervisor starts it again. */
const configuration = readConfiguration(environment);
const facts = await readPartFacts(configuration.partFacts);
const log = createLog('worker');
installRuntime(log);

const keys = join(facts.home, 'keys');
const [payloadSealing, secretSealing, bundle] = await Promise.all([
  createSealing({ directory: keys, purpose: 'payload' }),
  createSealing({ directory: keys, purpose: 'secret' }),
  ensureWorkflowBundle(projectRoot),
]);
const database = connectDatabase(facts.database.app, { max: 12, applicationName: 'kos-worker' });
const settings = createSettingsReader({ database, now: Date.now });
const builtIn = builtInRoots({ home: facts.home, projectRoot });
const evaluator = createEvaluator();
const egress = { forbiddenPorts: makeOwnPortsReader(configuration.partFacts) };
const deltas = createDeltaPost({ database, log });
const tools = createToolRegistry(builtinTools({ home: facts.home, egress, checkJson: evaluator.validateJson }));

const worker = await createRunWorker({
  ...facts.temporal,
  ...(await configuredSecurity(configuration.temporal)),
  sealing: payloadSealing,
  bundle,
  dependencies: {
    database,
    tools,
    plans: createExecutablePlans({ database, tools }),
    facts: createRunFactsReader({ database }),
    evaluator,
    models: createModelService({
      openai: configuration.openai,
      checkAnswer: evaluator.validateJson,
    }),
    deltas,
    artifacts: createArtifactStore({ directory: join(facts.home, 'artifacts') }),
    secrets: createSecretService({ database, sealing: secretSealing }),
    toolSettings: async (workspaceId) => toolSettings(await settings.settingsFor(workspaceId), builtIn),
  },
  outgoing: { sealing: secretSealing, egress, allowedHosts: async (workspaceId) => (await settings.settingsFor(workspaceId)).egress },
});

const leave = announceWorker({ address: facts.database.listen ?? facts.database.app, log });
endWithSupervisor(async () => {
  worker.shutdown();
  await leave();
}, 5_000);
log.info('worker: polling');
settleHeap();
await worker.run();
await Promise.all([worker.close(), evaluator.close(), deltas.close()]);
await database.close();
