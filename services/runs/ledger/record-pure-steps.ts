import type { Claim } from '#core/engine/claim.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { jsonParameter, type TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import type { StepPlace, TakenStep } from './take-step.ts';

/** A pure step that was done before its row was looked at. */
export interface DoneStep {
  place: StepPlace;
  /** Small enough for the step's own row. */
  output: Json;
  metadata: JsonObject;
  /** `performance.now()` when it began and when it ended, ms. */
  begunAt: number;
  endedAt: number;
}

/** What the steps' work took for granted: they are recorded only if it is so. */
export interface Premises {
  runStartedAt: Date;
  /** Of a round: the step it belongs to, as this worker has it. Null: no round. */
  parent: Pick<TakenStep, 'path' | 'fence'> | null;
}

/**
 * Pure steps from their take to their end, in one statement: rows with fence, events and audit entries in the order given. Answers how many it recorded:
 * none when the run is not simply running under this claim, and not those that anybody has ever taken. With several steps the caller keeps all or nothing.
 * `commit` is sent right behind: for one step only.
 */
export async function recordPureSteps(
  sql: TransactionSql,
  claim: Claim,
  steps: readonly DoneStep[],
  premises: Premises,
  commit: (() => void) | undefined,
): Promise<number> {
  const { workspaceId, runId } = claim;
  const { parent } = premises;
  const held = parent === null ? sql`` : sql` and exists (select from kos.steps where run_id = ${runId} and path = ${parent.path} and fence = ${parent.fence})`;
  const query = sql<{ recorded: number }[]>`
    with claim as (
      select from kos.runs where id = ${runId} and generation = ${claim.generation} and claimed_by = ${claim.chain} and status = 'running'
        and cancel_requested_at is null and started_at = ${premises.runStartedAt}${held}
    ), given as (
      select * from json_to_recordset(${jsonParameter(sql, steps.map(rowOf))}) as given (place int, path text, step int, item int, iteration int, kind text,
        output text, metadata jsonb, begun_before_ms float8, ended_before_ms float8, started_id text, succeeded_id text, audit_id text)
    ), changed as (
      insert into kos.steps as s (workspace_id, run_id, path, step, item, iteration, kind, status, attempt, fence, started_at, finished_at, output, metadata)
      select ${workspaceId}::text, ${runId}::text, path, step, item, iteration, kind, 'succeeded', 1, 2,
        clock_timestamp() - make_interval(secs => begun_before_ms / 1000), clock_timestamp() - make_interval(secs => ended_before_ms / 1000), output::json, metadata
      from claim, given order by place
      on conflict (run_id, path) do update set status = excluded.status, attempt = excluded.attempt, fence = s.fence + 2, started_at = excluded.started_at,
        finished_at = excluded.finished_at, output = excluded.output, metadata = s.metadata || excluded.metadata
      where s.status = 'pending' and s.attempt = 0
      returning path
    ), facts as (
      select given.*, jsonb_build_object('stepPath', path, 'kind', kind, 'attempt', 1) as data from given join changed using (path)
    ), told as (
      insert into kos.events (id, workspace_id, run_id, type, data)
      select event.id, ${workspaceId}::text, ${runId}::text, event.type, data
      from facts, lateral (values (1, started_id, 'step.started'), (2, succeeded_id, 'step.succeeded')) as event (nth, id, type)
      order by place, event.nth
    ), audited as (
      insert into kos.audit_entries (id, workspace_id, actor, action, subject, data)
      select audit_id, ${workspaceId}::text, 'kos', 'step.succeeded', ${runId}::text, data from facts order by place
    )
    select count(*)::int as recorded from changed`.execute();
  commit?.();
  const [row] = await query;
  return row?.recorded ?? 0;
}

function rowOf({ place, output, metadata, begunAt, endedAt }: DoneStep, index: number): JsonObject {
  const now = performance.now();
  return {
    place: index,
    path: place.path,
    step: place.step,
    item: place.item,
    iteration: place.iteration ?? null,
    kind: place.kind,
    // As text: what reads a list of JSON values decodes the strings in it, and refuses the NUL character.
    output: JSON.stringify(output),
    metadata,
    begun_before_ms: now - begunAt,
    ended_before_ms: now - endedAt,
    started_id: newId('event'),
    succeeded_id: newId('event'),
    audit_id: newId('audit'),
  };
}
