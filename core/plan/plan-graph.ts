/** Who waits for whom, by step number. */
export interface PlanGraph {
  /** Inferred and written needs, the gate included. */
  needs: Set<number>[];
  gates: (number | undefined)[];
  /** Needs that `when` mentions; of an approval also that of what it covers. */
  whenMentions: Set<number>[];
  /** The step that each stands in for, by `onError: { step }`. */
  fallbackOf: (number | undefined)[];
  /** Needs that stand in for other needs. */
  fallbacks: Set<number>[];
}
