import { recordEvents } from '#services/records/record.ts';
import { assertClaim, markWorking, readHeader } from '#services/runs/ledger/header.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import type { RunWork } from './close-run.ts';
import type { RunActivityDependencies } from './dependencies.ts';

const skipReason = (compiled: CompiledStep | undefined): string =>
  compiled === undefined || compiled.fallbackOf === null
    ? 'a step that it needs was skipped'
    : `${compiled.fallbackOf} did not fail, or another step that it needs was skipped`;

/** Writes the rows of steps that are skipped because a step they need was. A repeat changes nothing. */
export async function skipSteps(dependencies: RunActivityDependencies, work: RunWork, steps: number[]): Promise<void> {
  const { workspaceId, runId } = work.claim;
  await dependencies.database.inWorkspace(workspaceId, async ({ sql }) => {
    const header = await readHeader(sql, work.claim);
    assertClaim(header, work.claim);
    await markWorking(sql, work.claim, header);
    const rows = steps.map((step) => {
      const compiled = work.executable.plan.steps[step];
      return {
        path: compiled?.id ?? String(step),
        step,
        kind: compiled?.kind ?? '',
        metadata: { reason: skipReason(compiled) },
      };
    });
    const inserted = await sql<{ path: string; kind: string }[]>`
      insert into kos.steps (workspace_id, run_id, path, step, kind, status, finished_at, metadata)
      select ${workspaceId}, ${runId}, skipped.path, skipped.step, skipped.kind, 'skipped', clock_timestamp(), skipped.metadata
      from jsonb_to_recordset(${sql.json(rows)}) as skipped (path text, step int, kind text, metadata jsonb)
      on conflict (run_id, path) do nothing returning path, kind`;
    await recordEvents(
      sql,
      inserted.map(({ path, kind }) => ({ workspaceId, runId, type: 'step.skipped' as const, data: { stepPath: path, kind } })),
    );
  });
}
