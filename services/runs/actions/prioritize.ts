import type { Transaction } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import { lockRunFor, type RunChange } from './locked-run.ts';

/** 1 is served first, 5 last. Takes effect on what starts from now on. Throws KosError `run_final` (409). */
export async function prioritizeRun({ sql }: Transaction, change: RunChange & { priority: number }): Promise<void> {
  const { workspaceId, actor, runId, priority } = change;
  if ((await lockRunFor(sql, 'prioritize', runId)) === null) return;
  const changed = await sql<{ id: string }[]>`
    update kos.runs set priority = ${priority}, control_version = control_version + 1 where id = ${runId} and priority <> ${priority} returning id`;
  if (changed.length === 0) return;
  await recordAudit(sql, [{ workspaceId, actor, action: 'run.prioritize', subject: runId, data: { priority } }]);
}
