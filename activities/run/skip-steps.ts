import { notEnded, type StepsSkipped } from '#core/engine/outcome.ts';
import { skipsThatStand } from '#core/engine/readiness.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { recordEvents } from '#services/records/record.ts';
import { assertClaim, markWorking, readHeader } from '#services/runs/ledger/header.ts';
import { readOutcomes } from '#services/runs/ledger/step-outcomes.ts';
import type { RunWork } from './close-run.ts';
import type { RunActivityDependencies } from './dependencies.ts';

const skipReason = (compiled: CompiledStep | undefined): string =>
  compiled === undefined || compiled.fallbackOf === null
    ? 'a step that it needs was skipped'
    : `${compiled.fallbackOf} did not fail, or another step that it needs was skipped`;

/**
 * Writes the rows of steps that are skipped because a step they need was, and answers what is on record then: a person may have ended one of them, or what it needs,
 * before the workflow heard of that. A repeat changes nothing.
 */
export async function skipSteps(dependencies: RunActivityDependencies, work: RunWork, steps: number[]): Promise<StepsSkipped> {
  const { workspaceId, runId } = work.claim;
  const { shape } = work.executable;
  return await dependencies.database.inWorkspace(workspaceId, async ({ sql }) => {
    // Whoever ends a step by hand holds the run: before this, or after it.
    await sql`select from kos.runs where id = ${runId} for share`;
    const header = await readHeader(sql, work.claim);
    assertClaim(header, work.claim);
    await markWorking(sql, work.claim, header);
    const read = [...new Set([...steps, ...steps.flatMap((step) => needsOf(work, step))])];
    const outcomes = await readOutcomes(sql, runId, read);
    const skipped = skipsThatStand(shape, steps, (step) => outcomes.get(step) ?? null);
    await recordSkips(sql, work, skipped);
    const letters = steps.map((step) => (skipped.includes(step) ? 'k' : (outcomes.get(step) ?? notEnded)));
    const goOn = steps.filter((_, position) => letters[position] === notEnded);
    const because = [...outcomes].flatMap(([step, outcome]) =>
      outcome !== 'k' && goOn.some((other) => needsOf(work, other).includes(step)) ? [{ step, outcome }] : [],
    );
    return { superseded: false, outcomes: letters.join(''), ...(because.length === 0 ? {} : { because }) };
  });
}

const needsOf = ({ executable }: RunWork, step: number): readonly number[] => executable.shape.steps[step]?.needs ?? [];

async function recordSkips(sql: TransactionSql, { claim, executable }: RunWork, steps: readonly number[]): Promise<void> {
  const { workspaceId, runId } = claim;
  const rows = steps.map((step) => {
    const compiled = executable.plan.steps[step];
    return { path: compiled?.id ?? String(step), step, kind: compiled?.kind ?? '', metadata: { reason: skipReason(compiled) } };
  });
  // One that an earlier life of the run had begun has a row already.
  const inserted = await sql<{ path: string; kind: string }[]>`
    insert into kos.steps as s (workspace_id, run_id, path, step, kind, status, finished_at, metadata)
    select ${workspaceId}, ${runId}, skipped.path, skipped.step, skipped.kind, 'skipped', clock_timestamp(), skipped.metadata
    from jsonb_to_recordset(${sql.json(rows)}) as skipped (path text, step int, kind text, metadata jsonb)
    on conflict (run_id, path) do update set status = 'skipped', fence = s.fence + 1, finished_at = excluded.finished_at, metadata = s.metadata || excluded.metadata
    where s.status = 'pending'
    returning path, kind`;
  await recordEvents(
    sql,
    inserted.map(({ path, kind }) => ({ workspaceId, runId, type: 'step.skipped' as const, data: { stepPath: path, kind } })),
  );
}
