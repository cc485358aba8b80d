import type { Pricing } from '#core/plan/diff-cost.ts';
import type { Logger } from 'pino';
import type { Principal } from '#core/policy/principal.ts';
import type { Explanation } from '#core/engine/explain.ts';
import type { ArtifactStore } from '#services/artifacts/store.ts';
import type { Database, SystemDatabase, Transaction } from '#services/database/connect.ts';
import type { DeltaHub } from '#services/deltas/hub.ts';
import type { QueueOrderWatch } from '#services/duties/queue-order.ts';
import type { EventListener } from '#services/events/listener.ts';
import type { Evaluator } from '#services/expression/evaluator.ts';
import type { PlanCompiler } from '#services/plans/compiler.ts';
import type { AcceptRequest } from '#services/runs/accept.ts';
import type { ModelService } from '#services/models/model.ts';
import type { SendRequest } from '#services/signals/send.ts';
import type { DebugRequest } from '#services/runs/debug.ts';
import type { HistoryRequest } from '#services/runs/history.ts';
import type { WirePayload } from '#schemas/codec.ts';
import type { RunDebug } from '#schemas/debug.ts';
import type { RunHistory } from '#schemas/history.ts';
import type { Signal } from '#schemas/signal.ts';
import type { Closed } from '#services/settings/unusable.ts';
import type { SecretService } from '#services/secrets/secrets.ts';
import type { SendMeans } from '#services/outgoing/means.ts';
import type { ReceiveMeans } from '#services/triggers/receive.ts';
import type { JsonCheck } from '#services/tools/json.ts';
import type { ToolDescription } from '#services/tools/registry.ts';
import type { Authenticator } from '#services/credentials/authenticate.ts';
import type { OidcService } from '#services/people/oidc.ts';
import type { AccessTokens } from '#services/tokens/access-tokens.ts';
import type { HealthProbe } from './health.ts';
import type { SessionCookie } from './session-cookie.ts';
import type { StreamLosses } from './stream-losses.ts';

/** What the routes stand on; `main.ts` constructs it. */
export interface ApiDependencies {
  database: Database;
  system: SystemDatabase;
  listener: EventListener;
  /** Text of model calls as it comes. */
  deltas: DeltaHub;
  /** Clients of streams that were sent away. */
  losses: StreamLosses;
  queueOrder: Pick<QueueOrderWatch, 'seen' | 'usualBound'>;
  artifacts: ArtifactStore;
  secrets: SecretService;
  compile: PlanCompiler;
  acceptRun: (request: AcceptRequest) => Promise<{ runId: string }>;
  sendSignal: (request: SendRequest) => Promise<Signal>;
  /** Why a run does not go on. */
  explainRun: (transaction: Transaction, runId: string) => Promise<Explanation>;
  /** What Temporal keeps of a run. */
  readHistory: (request: HistoryRequest) => Promise<RunHistory>;
  /** Opens payloads for a reader of that workspace. */
  decodePayloads: (workspaceId: string, payloads: readonly WirePayload[]) => Promise<WirePayload[]>;
  /** Origins of other pages (Temporal's UI) that may have payloads opened. */
  codecOrigins: readonly string[];
  /** What Temporal holds of a run at this moment. */
  debugRun: (request: DebugRequest) => Promise<RunDebug>;
  /** Expressions that users wrote, within their budget of time and memory. */
  evaluator: Pick<Evaluator, 'evaluate' | 'validateInput'>;
  /** What takes deliveries. */
  triggers: ReceiveMeans;
  /** What sends to the outside. */
  outgoing: SendMeans;
  health: HealthProbe;
  metrics: () => Promise<{ text: string; mediaType: string }>;
  listTools: () => ToolDescription[];
  /** Holds a value against a JSON Schema. */
  checkJson: JsonCheck;
  listModels: () => ReturnType<ModelService['list']>;
  /** What a model's name stands for, and costs. */
  priceModel: Pricing;
  /** Something was written to the outbox: look there now rather than at the next round. */
  nudgeOutbox: () => void;
  /** Signs and verifies access tokens. */
  tokens: AccessTokens;
  /** What a bearer's credential is, for who shows it in a body. */
  authenticateBearer: Authenticator['authenticateBearer'];
  /** Somebody's rights were changed just now. */
  forget: Authenticator['forget'];
  cookie: SessionCookie;
  /** Null: no OpenID provider is configured. */
  oidc: OidcService | null;
  publicUrl: string;
  version: string;
  places: { home: string; projectRoot: string };
  /** What tools never reach. */
  closed: () => Closed;
  /** Where editors find the JSON Schema of plans. */
  planSchemaUrl: string;
  log: Logger;
  now: () => Date;
}

/** Runs a handler's work in the workspace of the one who asks. */
export const inWorkspaceOf = <Result>(
  dependencies: Pick<ApiDependencies, 'database'>,
  principal: Principal,
  work: (transaction: Transaction) => Promise<Result>,
): Promise<Result> => dependencies.database.inWorkspace(principal.workspaceId, work);
