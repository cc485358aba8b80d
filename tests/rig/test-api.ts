import { createModelService } from '#services/models/model-service.ts';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { projectRoot } from '#config';
import type { Role } from '#core/policy/permissions.ts';
import type { RateTable } from '#core/policy/rates.ts';
import { validateJson } from '#core/plan/json-schema.ts';
import type { PlanEnvironment } from '#core/plan/compiled.ts';
import { createArtifactStore } from '#services/artifacts/file-store.ts';
import { createAuthenticator } from '#services/credentials/authenticate.ts';
import { watchPresence } from '#services/credentials/presence.ts';
import { startDeltaHub } from '#services/deltas/hub.ts';
import { startEventListener } from '#services/events/listener.ts';
import { startSequencer } from '#services/events/sequencer.ts';
import { createEvaluator } from '#services/expression/evaluator.ts';
import { newId } from '#services/ids.ts';
import { createApiKey } from '#services/identity/api-key.ts';
import { signingIdentity } from '#services/identity/signing-key.ts';
import { openInstallation } from '#services/installation/installation.ts';
import type { Owner } from '#services/installation/owner.ts';
import { createOidcService, type OidcSettings } from '#services/people/oidc.ts';
import { hashPassword } from '#services/people/passwords.ts';
import { openSession } from '#services/people/sessions.ts';
import { createPlanCompiler } from '#services/plans/compiler.ts';
import { createRateLimiter } from '#services/rates/limiter.ts';
import { acceptRun } from '#services/runs/accept.ts';
import { debugRun } from '#services/runs/debug.ts';
import { readHistory } from '#services/runs/history.ts';
import { readRun } from '#services/runs/read.ts';
import { decodeForReader } from '#services/temporal/remote-codec.ts';
import type { RunWorkflows } from '#services/temporal/run-workflows.ts';
import { builtinTools, describeTool } from '#services/tools/registry.ts';
import { createFixedSealing } from '#services/sealing/sealing.ts';
import { readAllowedHosts } from '#services/settings/settings.ts';
import { sendSignal } from '#services/signals/send.ts';
import { createSecretService } from '#services/secrets/secrets.ts';
import { accessTokensFrom } from '#services/tokens/access-tokens.ts';
import { makeApp, makeServer } from '#web/api/app.ts';
import type { ApiDependencies } from '#web/api/dependencies.ts';
import { makeHostCheck } from '#web/api/guard.ts';
import { createHealthProbe } from '#web/api/health.ts';
import { createMetrics } from '#web/api/metrics.ts';
import { createRateGuard } from '#web/api/rate-guard.ts';
import { makeRoutes } from '#web/api/routes/index.ts';
import { acceptSockets } from '#web/api/sockets.ts';
import { makeSessionCookie } from '#web/api/session-cookie.ts';
import { countStreamLosses } from '#web/api/stream-losses.ts';
import type { Route } from '#web/api/route.ts';
import { createTestPayloadSealing } from './test-payload-key.ts';
import { makeTestDatabase, type TestDatabase } from './test-database.ts';
import type { TestEngine } from './test-engine.ts';
import { insertRun } from './test-runs.ts';

export interface TestApi {
  rig: TestDatabase;
  url: string;
  routes: Route[];
  dependencies: ApiDependencies;
  owner: Owner;
  /** The owner's key. */
  apiKey: string;
  /** A new member's key of that workspace. */
  makeKey(member: {
    roles: Role[];
    scopes?: string[] | null;
    workspaceId?: string;
    expiresAt?: Date;
  }): Promise<{ apiKey: string; principalId: string; credentialId: string }>;
  /** A person, member of the workspaces that are named (the owner's when none is), and the headers of their session. */
  makeSession(person?: { roles?: Role[]; workspaceIds?: string[]; installationRole?: 'owner'; login?: string; password?: string }): Promise<TestSession>;
  makeWorkspace(): Promise<string>;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  close(): Promise<void>;
}

export interface TestSession {
  principalId: string;
  sessionId: string;
  /** As a browser on our own page would send them. */
  headers: { cookie: string; origin: string };
}

export interface TestApiOptions {
  /** Absent: no test meets a limit. */
  rates?: RateTable;
  publicUrl?: string;
  /** Its runs are worked on: database and engine are that one's. */
  engine?: TestEngine;
  /** Runs are accepted as in the product, of plans that were saved. */
  realRuns?: boolean;
  /** Absent: no other page may have payloads opened. */
  codecOrigins?: string[];
  /** Absent: Temporal knows of no run. */
  temporal?: Pick<RunWorkflows, 'debug' | 'history'>;
  /** The OpenID provider, told where this API lives. */
  oidc?: (publicUrl: string) => OidcSettings;
}

export interface CallOptions {
  /** Null: none. Absent: the owner's. */
  apiKey?: string | null;
  body?: unknown;
  /** Sent instead of `body`, as it is. */
  text?: string;
  headers?: Record<string, string>;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  body: AnswerBody;
}

/** Of answers' bodies, what tests look into; what is not there in one answer is for its test to notice. */
export interface AnswerBody {
  [name: string]: unknown;
  id: string;
  status: string | number;
  code: string;
  fix: string;
  items: AnswerBody[];
  path: string;
  nextCursor: string | null;
  permissions: string[];
  errors: { pointer: string; message: string }[];
  input: object;
  output: unknown;
  /** Of the API's description. */
  paths: Record<
    string,
    Record<
      string,
      { operationId: string; responses: object; requestBody: { content: Record<string, { schema: { properties: Record<string, { type: string }> } }> } }
    >
  >;
}

const unlimited: RateTable = {
  read: [],
  change: [],
  person: [],
  signIn: [],
  public: [],
  hook: [],
  failedCredentials: [],
  streamsOfProgram: Number.MAX_SAFE_INTEGER,
  streamsOfPerson: Number.MAX_SAFE_INTEGER,
};

const environment: PlanEnvironment = {
  tools: [
    {
      name: 'text.upper',
      version: 1,
      effect: 'pure',
      inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
      outputSchema: { type: 'object', properties: { text: { type: 'string' } } },
    },
  ],
  models: ['fast', 'builtin/summary'],
};

const nothingInTemporal: Pick<RunWorkflows, 'debug' | 'history'> = {
  history: { page: async () => null },
  debug: { describe: async () => null, callStack: async () => null, pollers: async () => [] },
};

/** The API over a real database; the engine is left out: `acceptRun` writes the run's row and nothing works on it. */
export async function makeTestApi(options: TestApiOptions = {}): Promise<TestApi> {
  const { engine } = options;
  const rig = engine?.rig ?? (await makeTestDatabase());
  const log = pino({ level: 'silent' });
  const { database, system } = rig;
  const { name, owner, signer } = await openInstallation(system, signingIdentity(Buffer.alloc(32, 5)));
  const listener = await startEventListener({ address: rig.addresses.app, system, log });
  const deltas = await startDeltaHub({ database, listener, log });
  const losses = countStreamLosses(log);
  const sequencer = startSequencer({ system, signer, log, isWatched: () => listener.watching() > 0, now: Date.now });
  const home = await mkdtemp(join(tmpdir(), 'kos-test-api-'));
  const publicUrl = options.publicUrl ?? 'https://kos.example';
  const tokens = await accessTokensFrom([Buffer.alloc(32, 6)], publicUrl);
  const authenticator = createAuthenticator({ system, tokens, now: Date.now });
  const presence = watchPresence(authenticator, log);
  const rates = createRateGuard({ limiter: createRateLimiter({ system, now: Date.now }), table: options.rates ?? unlimited, log });
  const cookie = makeSessionCookie({ installation: name, publicUrl });
  const evaluator = createEvaluator();
  const tools = builtinTools({ home, egress: { forbiddenPorts: () => [] } }).map(describeTool);
  const insertOnly: ApiDependencies['acceptRun'] = ({ workspaceId, actor, responsible, origin, request, alsoInTransaction }) =>
    database.inWorkspace(workspaceId, async (transaction) => {
      const { input, labels = {}, cache } = request;
      const runId = await insertRun(transaction, { workspaceId, startedBy: actor, responsible, origin, input, labels, cache });
      await alsoInTransaction?.(transaction, runId);
      return { runId };
    });
  const accept: ApiDependencies['acceptRun'] =
    options.realRuns === true || engine !== undefined
      ? (request) => acceptRun({ database, validateInput: evaluator.validateInput, evaluate: evaluator.evaluate }, request)
      : insertOnly;
  const temporal = options.temporal ?? nothingInTemporal;
  const dependencies: ApiDependencies = {
    database,
    system,
    listener,
    deltas,
    losses,
    queueOrder: { seen: () => ({ fair: true, byPriority: true }), usualBound: () => null },
    artifacts: createArtifactStore({ directory: join(home, 'artifacts') }),
    secrets: createSecretService({ database, sealing: createFixedSealing({ purpose: 'secret', key: Buffer.alloc(32, 3) }) }),
    compile: createPlanCompiler(environment),
    acceptRun: accept,
    triggers: {
      database,
      system,
      sealing: createFixedSealing({ purpose: 'secret', key: Buffer.alloc(32, 4) }),
      evaluator,
      acceptRun: accept,
      log,
      now: Date.now,
    },
    outgoing: {
      sealing: createFixedSealing({ purpose: 'secret', key: Buffer.alloc(32, 3) }),
      egress: { forbiddenPorts: () => [] },
      allowedHosts: (workspaceId) => readAllowedHosts(database, workspaceId),
    },
    sendSignal: (request) => sendSignal({ database, validateJson: async (schema, value) => validateJson(schema, value) }, request),
    explainRun: async (transaction, runId) => ({ runId, status: (await readRun(transaction, runId)).status, reasons: [] }),
    readHistory: (request) => readHistory(database, temporal.history, request),
    decodePayloads: (workspaceId, payloads) => decodeForReader({ database, sealing: createTestPayloadSealing(), namespace: 'default' }, workspaceId, payloads),
    codecOrigins: options.codecOrigins ?? [],
    debugRun: (request) => debugRun(database, temporal, request),
    evaluator,
    planSchemaUrl: 'https://kos.example/plan.schema.json',
    health: createHealthProbe({ pingDatabase: () => database.ping(), pingTemporal: async () => 1, countWorkers: async () => 1 }, Date.now),
    metrics: createMetrics(system, { open: listener.watching, dropped: losses.counts }),
    listTools: () => tools,
    checkJson: async (schema, value) => validateJson(schema, value),
    listModels: () => [],
    priceModel: createModelService({ openai: { apiKey: undefined, baseUrl: undefined } }).price,
    nudgeOutbox: () => engine?.nudge(),
    tokens,
    authenticateBearer: (credential) => authenticator.authenticateBearer(credential),
    forget: (principalId) => authenticator.forget(principalId),
    cookie,
    oidc: options.oidc === undefined ? null : createOidcService({ system, settings: options.oidc(publicUrl) }),
    publicUrl,
    version: '0.0.0',
    places: { home, projectRoot },
    closed: () => ({ home, ownPorts: [3000] }),
    log,
    now: () => new Date(),
  };
  const routes = makeRoutes(dependencies);
  let port = 0;
  const checkHost = (host: string | undefined): void => makeHostCheck({ publicUrl: dependencies.publicUrl, port })(host);
  const app = makeApp(routes, { database, system, authenticator, presence, rates, cookie, publicUrl, trustedProxies: ['127.0.0.1'], checkHost, log });
  const server = makeServer(app);
  const sockets = acceptSockets(server, app);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
  const url = `http://127.0.0.1:${port}`;

  const makeKey: TestApi['makeKey'] = async ({ roles, scopes = null, workspaceId = owner.workspaceId, expiresAt }) => {
    const [principalId, credentialId] = [newId('principal'), newId('credential')];
    const { apiKey, secretHash } = createApiKey();
    await system.sql`insert into kos.principals (id, kind, name, public_key) values (${principalId}, 'user', ${`${roles.join('-')}-person`}, '')`;
    await system.sql`insert into kos.memberships (workspace_id, principal_id, roles) values (${workspaceId}, ${principalId}, ${system.sql.json(roles)})`;
    await system.sql`
      insert into kos.credentials (id, principal_id, workspace_id, kind, secret_hash, scopes, expires_at)
      values (${credentialId}, ${principalId}, ${workspaceId}, 'api_key', ${Buffer.from(secretHash)}, ${scopes === null ? null : system.sql.json(scopes)}, ${expiresAt ?? null})`;
    return { apiKey, principalId, credentialId };
  };

  const makeSession: TestApi['makeSession'] = async (person = {}) => {
    const { roles = ['viewer'], workspaceIds = [owner.workspaceId], installationRole = null, login = null, password } = person;
    const principalId = newId('principal');
    await system.sql`
      insert into kos.principals (id, kind, name, public_key, installation_role, login)
      values (${principalId}, 'user', ${`${roles.join('-')}-person`}, '', ${installationRole}, ${login})`;
    for (const workspaceId of workspaceIds)
      await system.sql`insert into kos.memberships (workspace_id, principal_id, roles) values (${workspaceId}, ${principalId}, ${system.sql.json(roles)})`;
    if (password !== undefined) await system.sql`insert into kos.passwords (principal_id, hash) values (${principalId}, ${await hashPassword(password)})`;
    return { principalId, ...(await openTestSession(principalId)) };
  };

  const openTestSession = async (principalId: string): Promise<Omit<TestSession, 'principalId'>> => {
    const { sessionId, token } = await system.sql.begin((sql) => openSession(sql, { principalId, method: 'link', userAgent: 'test' }));
    return { sessionId, headers: { cookie: `${cookie.name}=${token}`, origin: new URL(publicUrl).origin } };
  };

  const ownerKey = await makeKey({ roles: ['owner'] });
  await system.sql`update kos.credentials set kind = 'owner_key' where id = ${ownerKey.credentialId}`;
  await system.sql`update kos.principals set installation_role = 'owner' where id = ${ownerKey.principalId}`;

  return {
    rig,
    url,
    routes,
    dependencies,
    owner: { ...owner, principalId: ownerKey.principalId },
    apiKey: ownerKey.apiKey,
    makeKey,
    makeSession,
    makeWorkspace: async () => {
      const workspaceId = newId('workspace');
      await system.sql`insert into kos.workspaces (workspace_id, slug, name) values (${workspaceId}, ${randomUUID()}, 'Other')`;
      return workspaceId;
    },
    call: (method, path, options = {}) => callApi(url, ownerKey.apiKey, method, path, options),
    close: async () => {
      presence.close();
      sockets.close();
      server.closeAllConnections();
      server.close();
      await sequencer.stop();
      await listener.close();
      await evaluator.close();
      if (engine === undefined) await rig.remove();
    },
  };
}

async function callApi(url: string, ownerKey: string, method: string, path: string, options: CallOptions): Promise<Answer> {
  const apiKey = options.apiKey === undefined ? ownerKey : options.apiKey;
  const content = options.text ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...options.headers,
    },
    ...(content === undefined ? {} : { body: content }),
  });
  const text = await response.text();
  const isJson = (response.headers.get('content-type') ?? '').includes('json');
  return { status: response.status, headers: response.headers, text, body: (isJson && text !== '' ? JSON.parse(text) : {}) as AnswerBody };
}
