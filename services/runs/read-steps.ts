import { KosError } from '#core/errors.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { OutcomeError, Step, StepStatus, WaitingFor } from '#schemas/run.ts';
import type { Transaction, TransactionSql } from '#services/database/connect.ts';
import { decodeCursor, type Page, pageOf } from '#services/paging/page.ts';

interface StepRow {
  path: string;
  step: number;
  item: number | null;
  iteration: number | null;
  /** 1 of an undo, which stands behind its step. */
  undo: 0 | 1;
  kind: string;
  status: StepStatus;
  attempt: number;
  started_at: Date | null;
  finished_at: Date | null;
  waiting_for: WaitingFor | null;
  /** Absent from lists when it is large. */
  output: Json;
  output_ref: string | null;
  error: OutcomeError | null;
  cost_micros: number;
  metadata: JsonObject;
}

/** An output up to this size, as Postgres stores it, travels in lists; a larger one is named by `outputRef`. */
const listedOutputBytes = 8_192;

const columns = (sql: TransactionSql) =>
  sql`path, step, item, iteration, (undoes is not null)::int as undo, kind, status, attempt, started_at, finished_at, waiting_for, error, cost_micros, metadata`;

function showStep(row: StepRow): Step {
  const step: Step = {
    path: row.path,
    kind: row.kind,
    status: row.status,
    attempt: row.attempt,
    startedAt: row.started_at?.toISOString() ?? null,
    finishedAt: row.finished_at?.toISOString() ?? null,
    waitingFor: row.waiting_for,
    error: row.error,
    costMicros: row.cost_micros,
    metadata: row.metadata,
  };
  if (row.output_ref !== null) step.outputRef = row.output_ref;
  else if (row.status === 'succeeded' || row.status === 'compensated' || row.metadata.tolerated === true) step.output = row.output;
  return step;
}

export interface StepFilter {
  statuses: StepStatus[] | null;
  cursor: string | null;
  limit: number;
}

/** Steps that have begun, in the plan's order, the items of a `forEach` after their step, the rounds of a `repeat` after theirs, each undo behind what it undoes. */
export async function listSteps({ sql }: Transaction, runId: string, filter: StepFilter): Promise<Page<Step>> {
  const after = filter.cursor === null ? null : (decodeCursor(filter.cursor, ['number', 'number', 'number', 'number']) as [number, number, number, number]);
  const rows = await sql<StepRow[]>`
    select ${columns(sql)},
      case when pg_column_size(output) <= ${listedOutputBytes} then output end as output,
      coalesce(output_id, case when pg_column_size(output) > ${listedOutputBytes} then path end) as output_ref
    from kos.steps
    where run_id = ${runId}
      and ${filter.statuses === null ? sql`true` : sql`status in ${sql(filter.statuses)}`}
      and ${after === null ? sql`true` : sql`step >= ${after[0]} and (step, coalesce(item, -1), coalesce(iteration, -1), (undoes is not null)::int) > (${after[0]}, ${after[1]}, ${after[2]}, ${after[3]})`}
    order by step, coalesce(item, -1), coalesce(iteration, -1), undo limit ${filter.limit + 1}`;
  return pageOf(rows, filter.limit, showStep, (row) => [row.step, row.item ?? -1, row.iteration ?? -1, row.undo]);
}

/** One step with its whole output; throws KosError `step_not_found`. */
export async function readStep({ sql }: Transaction, runId: string, path: string): Promise<Step> {
  const [row] = await sql<StepRow[]>`
    select ${columns(sql)}, null as output_ref,
      case when output_id is null then output else (select value from kos.outputs where outputs.id = steps.output_id) end as output
    from kos.steps where run_id = ${runId} and path = ${path}`;
  if (row === undefined) {
    throw new KosError({
      code: 'step_not_found',
      message: `The run ${runId} has no step ${JSON.stringify(path)}, or it has not begun.`,
      fix: `kai run get ${runId}`,
      status: 404,
    });
  }
  return showStep(row);
}
