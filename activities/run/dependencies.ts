import type { InputResult } from '#core/plan/validate-input.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { Template } from '#core/expression/template.ts';
import type { Json } from '#schemas/json.ts';
import type { ArtifactStore } from '#services/artifacts/store.ts';
import type { Database } from '#services/database/connect.ts';
import type { DeltaPost } from '#services/deltas/post.ts';
import type { ModelService } from '#services/models/model.ts';
import type { SecretService } from '#services/secrets/secrets.ts';
import type { ToolRegistry, ToolSettings } from '#services/tools/tool.ts';
import type { ExecutablePlans, RunFactsReader } from '#services/runs/executable-plans.ts';

/** Evaluates plan expressions within their budget of time and memory. */
export interface ExpressionEvaluator {
  evaluate(template: Template, scope: Scope): Promise<Json>;
  /** Renders a Jinja prompt over its variables. */
  renderPrompt(template: string, variables: Record<string, Json>): Promise<string>;
  /** Fills in a schema's defaults and holds an input against it. */
  validateInput(schema: Json | null, input: Json | undefined): Promise<InputResult>;
}

/** A sign of life of a long activity, and what ends it early. */
export interface Vitality {
  /** Aborted when the run is cancelled or the worker shuts down. */
  signal: AbortSignal;
}

export interface RunActivityDependencies {
  database: Database;
  plans: ExecutablePlans;
  facts: RunFactsReader;
  evaluator: ExpressionEvaluator;
  tools: ToolRegistry;
  models: ModelService;
  /** Where the text of model calls goes as it comes. */
  deltas: Pick<DeltaPost, 'open'>;
  artifacts: ArtifactStore;
  secrets: SecretService;
  toolSettings(workspaceId: string): Promise<ToolSettings>;
  /** Keeps the activity's heartbeat going while `work` runs; its signal is aborted when the run is cancelled. */
  alive<Result>(work: (vitality: Vitality) => Promise<Result>): Promise<Result>;
}
