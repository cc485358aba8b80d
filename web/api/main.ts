import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { environment, projectRoot, readConfiguration } from '#config';
import { createArtifactStore } from '#services/artifacts/file-store.ts';
import { usualRates } from '#core/policy/rates.ts';
import { createAuthenticator } from '#services/credentials/authenticate.ts';
import { watchPresence } from '#services/credentials/presence.ts';
import { connectDatabase, connectSystemDatabase } from '#services/database/connect.ts';
import { startDeltaHub } from '#services/deltas/hub.ts';
import { startDuties } from '#services/duties/start.ts';
import { endWithSupervisor, makeOwnPortsReader, readPartFacts } from '#services/embedded/part.ts';
import { settleHeap } from '#services/embedded/settle-heap.ts';
import { startEventListener } from '#services/events/listener.ts';
import { startSequencer } from '#services/events/sequencer.ts';
import { createEvaluator } from '#services/expression/evaluator.ts';
import { openSigningIdentity } from '#services/identity/signing-key.ts';
import { saveExamples } from '#services/installation/examples.ts';
import { openInstallation } from '#services/installation/installation.ts';
import { ensureOwnerKey, writeCliFile } from '#services/installation/owner-key.ts';
import { createLog } from '#services/logging/log.ts';
import { createModelService } from '#services/models/model-service.ts';
import { createOidcService } from '#services/people/oidc.ts';
import { createPlanCompiler } from '#services/plans/compiler.ts';
import { createRateLimiter } from '#services/rates/limiter.ts';
import { acceptRun, type AcceptRequest } from '#services/runs/accept.ts';
import { debugRun } from '#services/runs/debug.ts';
import { explainRun } from '#services/runs/explain.ts';
import { readHistory } from '#services/runs/history.ts';
import { createSealing } from '#services/sealing/sealing.ts';
import { createSecretService } from '#services/secrets/secrets.ts';
import { readAllowedHosts } from '#services/settings/settings.ts';
import { type SendRequest, sendSignal } from '#services/signals/send.ts';
import { decodeForReader } from '#services/temporal/remote-codec.ts';
import { connectRunWorkflows } from '#services/temporal/run-workflows.ts';
import { configuredSecurity } from '#services/temporal/security.ts';
import { countWorkers } from '#services/workers/presence.ts';
import { openAccessTokens } from '#services/tokens/access-tokens.ts';
import { builtinTools, describeTool } from '#services/tools/registry.ts';
import { makeApp, makeServer } from './app.ts';
import { makeHostCheck } from './guard.ts';
import { createHealthProbe } from './health.ts';
import { createMetrics } from './metrics.ts';
import { createRateGuard } from './rate-guard.ts';
import { makeRoutes } from './routes/index.ts';
import { oidcCallbackPath } from './routes/oidc.ts';
import { planSchemaPath } from './routes/plan-schema.ts';
import { acceptSockets } from './sockets.ts';
import { makeSessionCookie } from './session-cookie.ts';
import { countStreamLosses } from './stream-losses.ts';

/** The API process: everything it stands on is made here, and nowhere else. A crash ends it; the supervisor starts it again. */
const configuration = readConfiguration(environment);
const facts = await readPartFacts(configuration.partFacts);
const egress = { forbiddenPorts: makeOwnPortsReader(configuration.partFacts) };
const { home, publicUrl } = facts;
const log = createLog('api');
const keys = join(home, 'keys');
const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
const planSchemaUrl = `${publicUrl}${planSchemaPath}`;

const database = connectDatabase(facts.database.app, { max: 8, applicationName: 'kos-api' });
const system = connectSystemDatabase(facts.database.system, { max: 5, applicationName: 'kos-api-system' });
const [payloadSealing, secretSealing] = await Promise.all([
  createSealing({ directory: keys, purpose: 'payload' }),
  createSealing({ directory: keys, purpose: 'secret' }),
]);
const { name, owner, signer } = await openInstallation(system, openSigningIdentity({ directory: keys }));
const artifacts = createArtifactStore({ directory: join(home, 'artifacts') });
const workflows = connectRunWorkflows({ ...facts.temporal, ...(await configuredSecurity(configuration.temporal)), sealing: payloadSealing });
const evaluator = createEvaluator();
const tools = builtinTools({ home, egress }).map(describeTool);
const modelService = createModelService({ openai: configuration.openai });
const models = modelService.list();
const compile = createPlanCompiler({ tools, models: models.map(({ name }) => name) });
await saveExamples({ database, compile, log }, owner, { folder: join(projectRoot, 'examples'), planSchemaUrl });

const tokens = await openAccessTokens({ directory: keys, publicUrl });
const authenticator = createAuthenticator({ system, tokens, now: Date.now });
const presence = watchPresence(authenticator, log);
const rates = createRateGuard({ limiter: createRateLimiter({ system, now: Date.now }), table: usualRates, log });
const cookie = makeSessionCookie({ installation: name, publicUrl });
const oidc = configuration.oidc && createOidcService({ system, settings: { ...configuration.oidc, redirectUri: `${publicUrl}${oidcCallbackPath}` } });

const listener = await startEventListener({ address: facts.database.listen ?? facts.database.app, system, log });
const deltas = await startDeltaHub({ database, listener, log });
const losses = countStreamLosses(log);
const sequencer = startSequencer({ system, signer, log, isWatched: () => listener.watching() > 0, now: Date.now });
const accepting = { database, validateInput: evaluator.validateInput, evaluate: evaluator.evaluate };
const accept = (request: AcceptRequest) => acceptRun(accepting, request);
const send = (request: SendRequest) => sendSignal({ database, validateJson: evaluator.validateJson }, request);
const bulk = { acceptRun: accept, sendSignal: send, listTools: () => tools, checkJson: evaluator.validateJson };
const duties = startDuties({ database, system, workflows, accepting, bulk, artifacts, home, publicUrl, log, now: Date.now });

const routes = makeRoutes({
  database,
  system,
  listener,
  deltas,
  losses,
  queueOrder: duties.queueOrder,
  artifacts,
  secrets: createSecretService({ database, sealing: secretSealing }),
  compile,
  acceptRun: accept,
  triggers: { database, system, sealing: secretSealing, evaluator, acceptRun: accept, log, now: Date.now },
  outgoing: {
    sealing: secretSealing,
    egress,
    allowedHosts: (workspaceId) => readAllowedHosts(database, workspaceId),
  },
  sendSignal: send,
  explainRun: (transaction, runId) => explainRun(workflows, transaction, runId),
  readHistory: (request) => readHistory(database, workflows.history, request),
  decodePayloads: (workspaceId, payloads) => decodeForReader({ database, sealing: payloadSealing, namespace: facts.temporal.namespace }, workspaceId, payloads),
  codecOrigins: configuration.codecOrigins,
  debugRun: (request) => debugRun(database, workflows, request),
  evaluator,
  health: createHealthProbe(
    { pingDatabase: () => database.ping(), pingTemporal: () => workflows.countPollers(), countWorkers: () => countWorkers(system.sql, workflows) },
    Date.now,
  ),
  metrics: createMetrics(system, { open: listener.watching, dropped: losses.counts }),
  listTools: () => tools,
  checkJson: evaluator.validateJson,
  listModels: () => models,
  priceModel: modelService.price,
  nudgeOutbox: () => {
    duties.nudgeOutbox();
    sequencer.nudge();
  },
  tokens,
  authenticateBearer: (credential) => authenticator.authenticateBearer(credential),
  forget: (principalId) => authenticator.forget(principalId),
  cookie,
  oidc: oidc ?? null,
  publicUrl,
  version,
  places: { home, projectRoot },
  closed: () => ({ home, ownPorts: egress.forbiddenPorts() }),
  planSchemaUrl,
  log,
  now: () => new Date(),
});
const checkHost = makeHostCheck({ publicUrl, port: facts.port });
const { trustedProxies } = configuration;
const app = makeApp(routes, { database, system, authenticator, presence, rates, cookie, publicUrl, trustedProxies, checkHost, log });
const server = makeServer(app);
// Before anybody is told that this server is ready: who is, looks for the key.
await writeCliFile(home, { url: publicUrl, apiKey: await ensureOwnerKey(system, owner, home) });
const sockets = acceptSockets(server, app);
server.listen(facts.port, facts.host);
await once(server, 'listening');
log.info({ url: publicUrl }, 'api: listening');
settleHeap();

endWithSupervisor(async () => {
  server.close();
  sockets.close();
  presence.close();
  // Streams end here and come back to the next process with their position.
  server.closeAllConnections();
  await Promise.all([duties.stop(), sequencer.stop(), listener.close()]);
  await Promise.all([evaluator.close(), workflows.close(), database.close(), system.close()]);
}, 3_000);
