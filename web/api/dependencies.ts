import type { Logger } from 'pino';
import type { Principal } from '#core/policy/principal.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { Origin, StartRun } from '#schemas/run.ts';
import type { ArtifactStore } from '#services/artifacts/store.ts';
import type { Database, SystemDatabase, Transaction } from '#services/database/connect.ts';
import type { EventListener } from '#services/events/listener.ts';
import type { PlanCompiler } from '#services/plans/compiler.ts';
import type { SecretService } from '#services/secrets/secrets.ts';
import type { HealthProbe } from './health.ts';

export interface AcceptRequest {
  workspaceId: string;
  actor: string;
  responsible: string;
  origin: Origin;
  request: StartRun;
  /** Runs in the transaction that writes the run. */
  alsoInTransaction: (transaction: Transaction, runId: string) => Promise<void>;
}

/** What the routes stand on; `main.ts` constructs it. */
export interface ApiDependencies {
  database: Database;
  system: SystemDatabase;
  listener: EventListener;
  artifacts: ArtifactStore;
  secrets: SecretService;
  compile: PlanCompiler;
  acceptRun: (request: AcceptRequest) => Promise<{ runId: string }>;
  /** Why a run does not go on, as of `now`. */
  explainRun: (transaction: Transaction, runId: string, now: Date) => Promise<JsonObject>;
  health: HealthProbe;
  metrics: () => Promise<{ text: string; mediaType: string }>;
  listTools: () => Json[];
  listModels: () => Json[];
  /** Something was written to the outbox: look there now rather than at the next round. */
  nudgeOutbox: () => void;
  publicUrl: string;
  version: string;
  places: { home: string; projectRoot: string };
  log: Logger;
  now: () => Date;
}

/** Runs a handler's work in the workspace of the one who asks. */
export const inWorkspaceOf = <Result>(
  dependencies: Pick<ApiDependencies, 'database'>,
  principal: Principal,
  work: (transaction: Transaction) => Promise<Result>,
): Promise<Result> => dependencies.database.inWorkspace(principal.workspaceId, work);
