import type { PlanShape } from '#schemas/shape.ts';
import type { StepLabel } from './summaries.ts';

export interface PlanRunInput {
  runId: string;
  workspaceId: string;
  /** Version of the engine's decisions that this run keeps to its end. */
  rules: number;
  generation: number;
  /** With it the run starts from nothing; without it, from what Postgres holds. */
  shape: PlanShape | null;
  /** What is left of the run's time by the database's clock when it was started, ms; null: no deadline. */
  endsInMs: number | null;
  /** Windows that the previous execution of this chain left open. */
  windows: { step: number; from: number; to: number }[];
}

export interface WindowInput {
  runId: string;
  workspaceId: string;
  rules: number;
  generation: number;
  /** The run's chain: a window works under its run's claim. */
  chain: string;
  step: number;
  /** Bound of one attempt of an item, ms. */
  timeoutMs: number;
  from: number;
  to: number;
  concurrency: number;
  /** What its items are called by in Temporal's own tools; absent: the plan was saved before shapes had names. */
  label?: StepLabel;
  /** By which its run is served now; absent: as the window was started. */
  priority?: number;
  /** Only of a step that waits: its items open waits, so many of these activities at once; `concurrency` of them wait. */
  maxInFlight?: number;
  /** Its items are done in batches within this workflow's own tasks. */
  quick?: true;
}
