import { windowSize } from '#core/engine/items.ts';
import type { ItemRange } from '#core/engine/outcome.ts';
import type { StoredProgress } from '#core/engine/state.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { Ending, StepStatus } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { isPaused, retryingItems, unfinishedItems } from './items.ts';
import { openWaits } from './waits.ts';
import { isTolerated, outcomeOf } from './take-step.ts';

interface StepRow {
  step: number;
  status: StepStatus;
  retryInMs: number | null;
  tolerated: boolean;
  items: number | null;
  paused: boolean;
}

/** Everything that a generation needs to go on: statuses, open waits, items not ended. */
export async function readProgress(sql: TransactionSql, runId: string, shape: PlanShape): Promise<StoredProgress> {
  const rows = await sql<StepRow[]>`
    select step, status, (extract(epoch from retry_at - clock_timestamp()) * 1000)::float8 as "retryInMs", ${isTolerated(sql)} as tolerated, (metadata->>'items')::int as items, ${isPaused(sql)} as paused
    from kos.steps where run_id = ${runId} and item is null and iteration is null and undoes is null`;
  const [run] = await sql<{ cancelRequested: boolean; ending: Ending | null; version: number; paused: boolean; priority: number; endsInMs: number | null }[]>`
    select cancel_requested_at is not null as "cancelRequested", ending, control_version as version, status = 'paused' as paused, priority, (extract(epoch from deadline_at - clock_timestamp()) * 1000)::float8 as "endsInMs" from kos.runs where id = ${runId}`;
  const open = rows.filter((row) => row.items !== null && row.status === 'running');
  const items = await Promise.all(open.map((row) => openItemsOf(sql, runId, row)));
  return {
    outcomes: outcomeLetters(shape, rows),
    retrying: [
      ...rows.filter((row) => row.paused).map((row) => ({ step: row.step, item: null, inMs: row.retryInMs ?? 0 })),
      ...items.flatMap((entry) => entry.retrying.map(({ item, inMs }) => ({ step: entry.step, item, inMs }))),
    ],
    waits: (await openWaits(sql, runId)).filter(({ step, item }) => item === null || isSmall(items, step)),
    items: items.map(({ step, count, unfinished, failed }) => ({ step, count, unfinished, failed })),
    cancelRequested: run?.cancelRequested ?? false,
    control: { version: run?.version ?? 0, paused: run?.paused ?? false, ...(run === undefined ? {} : { priority: run.priority }) },
    endsInMs: run?.endsInMs ?? null,
    ...(run === undefined || run.ending === null ? {} : { ending: run.ending }),
  };
}

function outcomeLetters(shape: PlanShape, rows: StepRow[]): string {
  const letters = new Array<string>(shape.steps.length).fill('.');
  for (const row of rows) letters[row.step] = outcomeOf(row.status, row.tolerated) ?? '.';
  return letters.join('');
}

async function openItemsOf(
  sql: TransactionSql,
  runId: string,
  row: StepRow,
): Promise<{ step: number; count: number; unfinished: ItemRange[]; retrying: { item: number; inMs: number }[]; failed: boolean }> {
  const count = row.items ?? 0;
  // A window looks up by itself which of its items wait for another attempt.
  const windowed = count > windowSize;
  const unfinished = await unfinishedItems(sql, runId, row.step, 0, count, windowed);
  const retrying = windowed ? [] : await retryingItems(sql, runId, row.step, 0, count);
  return { step: row.step, count, unfinished, retrying, failed: await hasFailedItem(sql, runId, row.step) };
}

/** An item failed and nobody tolerates that (a tolerated failure says so in its row). An uncertain one is a failure by the first rules only. */
export async function hasFailedItem(sql: TransactionSql, runId: string, step: number): Promise<boolean> {
  const [row] = await sql`
    select 1 from kos.steps join kos.runs r on r.id = run_id
    where run_id = ${runId} and step = ${step} and item is not null and iteration is null and undoes is null and (steps.status = 'failed' or (steps.status = 'uncertain' and r.rules < 2))
      and metadata->>'tolerated' is distinct from 'true' limit 1`;
  return row !== undefined;
}

/** A window looks up its own waits. */
const isSmall = (items: { step: number; count: number }[], step: number): boolean => items.some((open) => open.step === step && open.count <= windowSize);
