import type { Claim } from '#core/engine/claim.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { jsonParameter, type TransactionSql } from '#services/database/connect.ts';
import { recordedWithChange } from '#services/records/record.ts';
import type { StepPlace, TakenStep } from './take-step.ts';

export interface PureOutcome {
  /** Small enough for the step's own row. */
  output: Json;
  metadata: JsonObject;
  tookMs: number;
  /** What the work took for the run's start: recorded only if it is. */
  runStartedAt: Date;
  /** Of a round: the step it belongs to. Recorded only while this worker has that. Null: no round. */
  parent: Pick<TakenStep, 'path' | 'fence'> | null;
}

/**
 * A pure step from its take to its end, in one statement: row with fence, both events, audit entry; or nothing, and false, when the run is not simply
 * running under this claim, or when anybody has ever taken the step. `commit` is sent right behind.
 */
export async function recordPureStep(
  sql: TransactionSql,
  claim: Claim,
  place: StepPlace,
  outcome: PureOutcome,
  commit: (() => void) | undefined,
): Promise<boolean> {
  const { workspaceId, runId } = claim;
  const facts = { stepPath: place.path, kind: place.kind, attempt: 1 };
  const told = recordedWithChange(sql, {
    events: [
      { workspaceId, runId, type: 'step.started', data: facts },
      { workspaceId, runId, type: 'step.succeeded', data: facts },
    ],
    audit: { workspaceId, actor: 'kos', action: 'step.succeeded', subject: runId, data: facts },
  });
  const { parent } = outcome;
  const held = parent === null ? sql`` : sql` and exists (select from kos.steps where run_id = ${runId} and path = ${parent.path} and fence = ${parent.fence})`;
  const query = sql<{ recorded: boolean }[]>`
    with claim as (
      select from kos.runs where id = ${runId} and generation = ${claim.generation} and claimed_by = ${claim.chain} and status = 'running'
        and cancel_requested_at is null and started_at = ${outcome.runStartedAt}${held}
    ), changed as (
      insert into kos.steps as s (workspace_id, run_id, path, step, item, iteration, kind, status, attempt, fence, started_at, finished_at, output, metadata)
      select ${workspaceId}::text, ${runId}::text, ${place.path}::text, ${place.step}::int, ${place.item}::int, ${place.iteration ?? null}::int, ${place.kind}::text, 'succeeded', 1, 2,
        clock_timestamp() - make_interval(secs => ${outcome.tookMs / 1000}), clock_timestamp(), ${jsonParameter(sql, outcome.output)}, ${sql.json(outcome.metadata)}
      from claim
      on conflict (run_id, path) do update set status = excluded.status, attempt = excluded.attempt, fence = s.fence + 2, started_at = excluded.started_at,
        finished_at = excluded.finished_at, output = excluded.output, metadata = s.metadata || excluded.metadata
      where s.status = 'pending' and s.attempt = 0
      returning path
    )${told}
    select exists (select from changed) as recorded`.execute();
  commit?.();
  const [row] = await query;
  return row?.recorded === true;
}
