/** Who may work on a run: one chain of workflow executions per generation. Every write of the engine names it. */
export interface Claim {
  runId: string;
  workspaceId: string;
  /** Raised when the run is resumed from Postgres. */
  generation: number;
  /** Temporal's first execution run id: the same over continue-as-new. */
  chain: string;
}
