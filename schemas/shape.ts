import { z } from 'zod';

/**
 * What a workflow knows of a plan: structure and bounds, no data. Steps are numbered by their position in the plan;
 * the plan document itself (expressions, inputs) is read by activities. At most 256 kB as JSON.
 */
export const stepKindSchema = z.enum(['transform', 'llm', 'tool', 'artifact', 'wait', 'approval', 'signal', 'plan']);
export type StepKind = z.infer<typeof stepKindSchema>;

export const stepShapeSchema = z.object({
  kind: stepKindSchema,
  /** Steps that must end first, each `< 2000`, ascending, without duplicates: inferred and written by hand. Includes the gate. */
  needs: z.array(z.int().nonnegative()),
  /** The approval step that gates this one through its `for`. */
  gate: z.int().nonnegative().optional(),
  /** `when` is present: evaluated by the unit itself. */
  when: z.literal(true).optional(),
  /** Needs that `when` mentions, of an approval also that of what it covers: a skip of one of these does not skip this step. Ascending, a subset of `needs`. */
  whenMentions: z.array(z.int().nonnegative()).optional(),
  /** A failure of this step lets dependants go on. */
  tolerated: z.literal(true).optional(),
  /** The step that this one stands in for when that fails: otherwise it is skipped. One of `needs`. */
  fallbackOf: z.int().nonnegative().optional(),
  /** Needs that stand in for other needs: their skip does not skip this step. Ascending, a subset of `needs`. */
  fallbacks: z.array(z.int().nonnegative()).optional(),
  /** Items at once. */
  forEach: z
    .object({
      concurrency: z.int().min(1).max(500),
      /** An item that fails fails the step, and not the run: the step's own `onError` says what that means. */
      contained: z.literal(true).optional(),
      /** Items mostly take milliseconds and change nothing outside: many are done one after another within the workflow's own task. */
      quick: z.literal(true).optional(),
    })
    .optional(),
  /** It runs in rounds, so many at most. */
  repeat: z.object({ maxIterations: z.int().positive() }).optional(),
  /** What it has done is undone when the run fails or is cancelled. `timeoutMs`: bound of one attempt at that. */
  undo: z.object({ timeoutMs: z.int().positive() }).optional(),
  /** Bound of one attempt. */
  timeoutMs: z.int().positive(),
});
export type StepShape = z.infer<typeof stepShapeSchema>;

export const planShapeSchema = z.object({
  steps: z.array(stepShapeSchema),
  /**
   * The steps' ids, by number: what Temporal's own tools are shown of activities. Nothing is decided by them. Absent in shapes of plans that were saved before
   * there were such, and where they would make the shape too large.
   */
  names: z.array(z.string()).optional(),
  /**
   * Partition of the step numbers into units, each in execution order. A unit of one is a step of its own; a longer one is a fused chain of
   * pure steps in which every later step's needs are members of the chain.
   */
  units: z.array(z.array(z.int().nonnegative()).min(1)),
  /**
   * Units, by number, whose work mostly takes milliseconds: it is waited for within the workflow's own task, which spares Temporal an activity. Absent in
   * shapes of plans that were saved before there were such.
   */
  quick: z.array(z.int().nonnegative()).optional(),
  /** Units in flight at once, 1–500. */
  maxInFlight: z.int().min(1).max(500),
  /** Bound of the whole run; null: none. */
  timeoutMs: z.int().positive().nullable(),
});
export type PlanShape = z.infer<typeof planShapeSchema>;
