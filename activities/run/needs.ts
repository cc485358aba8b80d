import type { Outcome } from '#core/engine/outcome.ts';
import { needsVerdict, type Verdict } from '#core/engine/readiness.ts';
import type { StepStatus } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { ExecutablePlan } from '#services/runs/executable-plans.ts';
import { isTolerated, outcomeOf } from '#services/runs/ledger/take-step.ts';

/** What the rows of a step's needs say of it. */
export async function readVerdict(sql: TransactionSql, runId: string, executable: ExecutablePlan, step: number): Promise<Verdict> {
  const own = executable.shape.steps[step];
  if (own === undefined) throw new Error(`The plan of ${runId} has no step ${step}.`);
  const outcomes = await readOutcomes(sql, runId, executable, own.needs);
  return needsVerdict(own, (need) => outcomes.get(need) ?? null);
}

/** How those of these steps ended that have. */
export async function readOutcomes(sql: TransactionSql, runId: string, { plan }: ExecutablePlan, steps: readonly number[]): Promise<Map<number, Outcome>> {
  const ids = steps.map((step) => plan.steps[step]?.id ?? '');
  const rows = await sql<{ step: number; status: StepStatus; tolerated: boolean }[]>`
    select step, status, ${isTolerated(sql)} as tolerated from kos.steps where run_id = ${runId} and path in ${sql(ids)}`;
  return new Map(
    rows.flatMap((row): [number, Outcome][] => {
      const outcome = outcomeOf(row.status, row.tolerated);
      return outcome === null ? [] : [[row.step, outcome]];
    }),
  );
}
