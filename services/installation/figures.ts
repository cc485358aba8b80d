import type { RunStatus } from '#schemas/run.ts';
import type { SystemDatabase } from '#services/database/connect.ts';

/** Counts over all workspaces, for metrics: no names, no data. */
export interface Figures {
  runs: Partial<Record<RunStatus, number>>;
  outboxDepth: number;
  outboxOldestSeconds: number;
  unnumberedEvents: number;
  openApprovals: number;
}

export async function readFigures(system: SystemDatabase): Promise<Figures> {
  const [runs, [rest]] = await Promise.all([
    system.sql<{ status: RunStatus; count: number }[]>`select status, count(*)::int as count from kos.runs group by status`,
    system.sql<Omit<Figures, 'runs'>[]>`
      select (select count(*)::int from kos.outbox) as "outboxDepth",
        (select coalesce(extract(epoch from now() - min(created_at)), 0)::float from kos.outbox) as "outboxOldestSeconds",
        (select count(*)::int from kos.events where seq is null) as "unnumberedEvents",
        (select count(*)::int from kos.approvals where status = 'open') as "openApprovals"`,
  ]);
  if (rest === undefined) throw new Error('The database gave no figures.');
  return { runs: Object.fromEntries(runs.map((row) => [row.status, row.count])), ...rest };
}
