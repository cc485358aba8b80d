import type { Template } from '#core/expression/template.ts';
import type { CacheRule, LineForm, PlanStep } from '#schemas/plan.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { PlanShape, StepKind } from '#schemas/shape.ts';
import type { CalledPlans } from './called-plans.ts';

/** What the compiler must know of a tool. */
export interface ToolDescriptor {
  name: string;
  version: number;
  effect: 'pure' | 'idempotent' | 'effectful';
  /** It mostly answers within milliseconds. */
  quick?: boolean;
  /** JSON Schemas. */
  inputSchema: Json;
  outputSchema: Json;
}

/** What a plan may refer to. */
export interface PlanEnvironment {
  tools: ToolDescriptor[];
  /** Names that resolve to a model, aliases included. */
  models: string[];
  /** Plans that its steps run, and those that these run, by their reference; absent where there is no place to look them up. */
  plans?: CalledPlans;
}

export interface RetryPolicy {
  maxAttempts: number;
  initialDelayMs: number;
  maximumDelayMs: number;
  backoffCoefficient: number;
  /** Error codes after which there is no other attempt. */
  nonRetryable: readonly string[];
  /** The longest pause that is granted to an outside that asks for one, ms. */
  retryAfterAtMostMs: number;
}

/** What becomes of the run when a step has failed for good. */
export type FailurePolicy = { do: 'fail' } | { do: 'continue' } | { do: 'value'; value: Template } | { do: 'fallback'; step: string };

/** Rounds, one after the other, until the condition says that it is over. */
export interface RepeatPolicy {
  /** What the condition must give for the step to end. */
  endsWith: boolean;
  condition: Template;
  maxIterations: number;
  everyMs: number;
  onExhausted: 'fail' | 'continue';
}

/** A wait until a condition that is looked at again and again. */
export interface CheckPolicy {
  tool: string;
  condition: Template;
  everyMs: number;
  expiresInMs: number;
  onExpiry: 'fail' | 'continue';
  retry: RetryPolicy;
  timeoutMs: number;
}

/** What takes a step's effect back. */
export interface UndoPolicy {
  tool: string;
  /** Evaluated when the step is undone; it sees `output` besides what the step saw. */
  input: Template;
  /** Ids of the steps it mentions. */
  reads: string[];
  retry: RetryPolicy;
  timeoutMs: number;
}

export interface CompiledStep {
  /** Position in the plan: what the shape and the workflow know it by. */
  number: number;
  id: string;
  kind: StepKind;
  definition: PlanStep;
  when: Template | null;
  /** The list, or with `lines` the id of the artifact. */
  forEach: Template | null;
  /** Its items are the lines of an artifact; null: they are a list's. */
  lines: LineForm | null;
  /** Null: it runs once. */
  repeat: RepeatPolicy | null;
  /** Null: it is no wait until a condition. */
  check: CheckPolicy | null;
  /**
   * What the step works on, by kind. transform: the value itself. llm: `{ model, with }`. tool: its `with`. artifact: `{ name, content, mediaType? }`.
   * wait: `{ forMs }` or `{ until }`, or the input of its check. approval: `{ message? }`. signal: `{ name }`. plan: the other run's input.
   */
  input: Template;
  /** Ids of the steps each part mentions: what must be loaded before it is evaluated. */
  reads: { when: string[]; forEach: string[]; input: string[]; repeat: string[]; check: string[]; onError: string[] };
  retry: RetryPolicy;
  timeoutMs: number;
  /** Items at once. */
  concurrency: number;
  /** All attempts together, ms; null: no bound but the run's. */
  timeoutInAllMs: number | null;
  onFailure: FailurePolicy;
  /** Null: what it did stays. */
  undo: UndoPolicy | null;
  /** Null: it always does its work. */
  cache: CacheRule | null;
  /** Items that may fail without failing the step; null: all of them. */
  toleratedItems: number | null;
  /** The step that this one stands in for. */
  fallbackOf: string | null;
  /** The approval whose `for` names this step. */
  gatedBy: string | null;
}

/** A plan ready to be worked on: everything an activity needs, nothing that depends on the installation. */
export interface LoadedPlan {
  name: string;
  /** The plan as plain JSON, as its author wrote it. */
  document: JsonObject;
  /** SHA-256 of the document's RFC 8785 form, in hex: the plan's content address. */
  digest: string;
  steps: CompiledStep[];
  /** JSON Schema of the input; null: the plan takes no input. */
  inputSchema: JsonObject | null;
  output: Template;
  outputReads: string[];
  labels: { [name: string]: string };
}

export interface CompiledPlan extends LoadedPlan {
  shape: PlanShape;
  /** The tools it uses with the versions it was checked against. */
  tools: { name: string; version: number; effect: ToolDescriptor['effect'] }[];
}
