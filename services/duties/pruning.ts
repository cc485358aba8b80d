import type { Logger } from 'pino';
import { workspaceSettingsSchema, type WorkspaceSettings } from '#schemas/settings.ts';
import type { ArtifactStore } from '#services/artifacts/store.ts';
import { sweepArtifacts } from '#services/artifacts/sweep.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import { pruneDeltas } from '#services/deltas/read.ts';
import { idempotencyKeptHours } from '#services/idempotency/idempotency.ts';
import { pruneAccess } from '#services/people/prune.ts';
import { recordAudit } from '#services/records/record.ts';
import { pruneOutgoing } from '#services/outgoing/prune.ts';
import { pruneDeliveries } from '#services/triggers/prune.ts';
import { removeContents, removeRunRows } from '#services/runs/remove.ts';
import { type Duty, repeat } from './repeat.ts';

export interface PruningOptions {
  system: SystemDatabase;
  artifacts: ArtifactStore;
  log: Logger;
  now: () => number;
}

/** Small batches: no lock is held long, and a kill loses one batch's work. */
const runsPerBatch = 50;
const eventsPerBatch = 2_000;
const idlePauseMs = 60_000;
const busyPauseMs = 200;
const sweepEveryMs = 6 * 3_600_000;

/** Removes what its workspace keeps no longer: ended runs that nobody pinned, events of ended runs, idempotency keys, outputs kept for reuse, content without an owner. */
export function startPruning(options: PruningOptions): Duty {
  let sweptAt = options.now();
  return repeat('pruning', options.log, async () => {
    let more = false;
    for (const workspace of await workspaces(options.system)) {
      more = (await pruneRuns(options, workspace)) || more;
      more = (await pruneEvents(options.system, workspace)) || more;
    }
    await options.system.sql`delete from kos.idempotency_keys where created_at < clock_timestamp() - make_interval(hours => ${idempotencyKeptHours})`;
    await options.system.sql`delete from kos.cache_entries where expires_at < clock_timestamp()`;
    more = (await pruneDeliveries(options.system)) || more;
    more = (await pruneOutgoing(options.system)) || more;
    await pruneAccess(options.system);
    await pruneDeltas(options.system);
    if (options.now() - sweptAt > sweepEveryMs) {
      sweptAt = options.now();
      await sweepArtifacts(options);
    }
    return more ? busyPauseMs : idlePauseMs;
  });
}

interface WorkspaceRetention {
  workspaceId: string;
  retention: WorkspaceSettings['retention'];
}

async function workspaces({ sql }: SystemDatabase): Promise<WorkspaceRetention[]> {
  const rows = await sql<{ workspaceId: string; value: unknown }[]>`
    select w.workspace_id as "workspaceId", s.value from kos.workspaces w left join kos.settings s on s.workspace_id = w.workspace_id`;
  return rows.map((row) => ({ workspaceId: row.workspaceId, retention: workspaceSettingsSchema.parse(row.value ?? {}).retention }));
}

/** True: there may be more. */
export async function pruneRuns(options: PruningOptions, { workspaceId, retention }: WorkspaceRetention): Promise<boolean> {
  const { runIds, contents } = await options.system.sql.begin(async (sql) => {
    const old = await sql<{ id: string }[]>`
      select id from kos.runs where workspace_id = ${workspaceId} and finished_at < clock_timestamp() - make_interval(days => ${retention.runsDays})
        and status in ('succeeded', 'failed', 'cancelled', 'terminated') and not pinned order by finished_at limit ${runsPerBatch} for update skip locked`;
    const ids = old.map((row) => row.id);
    if (ids.length === 0) return { runIds: ids, contents: [] };
    await sql`
      update kos.workspaces set events_pruned_to = greatest(events_pruned_to, (select max(seq) from kos.events where run_id in ${sql(ids)})) where workspace_id = ${workspaceId}`;
    const unnamed = await removeRunRows(sql, workspaceId, ids);
    await recordAudit(
      sql,
      ids.map((id) => ({ workspaceId, actor: 'kos', action: 'run.prune', subject: id, data: { afterDays: retention.runsDays } })),
    );
    return { runIds: ids, contents: unnamed };
  });
  await removeContents(options, workspaceId, contents);
  return runIds.length === runsPerBatch;
}

/** Events go earlier than their runs; those of open and pinned runs stay, and those that a webhook or a channel is still to be told of. */
export async function pruneEvents({ sql }: SystemDatabase, { workspaceId, retention }: WorkspaceRetention): Promise<boolean> {
  const [removed] = await sql<{ count: number }[]>`
    with gone as (delete from kos.events where id in (
      select e.id from kos.events e left join kos.runs r on r.id = e.run_id
      where e.workspace_id = ${workspaceId} and e.seq is not null and e.at < clock_timestamp() - make_interval(days => ${retention.eventsDays})
        and not exists (select from kos.webhooks w where w.workspace_id = ${workspaceId} and w.enabled and w.seen_seq < e.seq)
        and not exists (select from kos.channels c where c.workspace_id = ${workspaceId} and c.enabled and c.seen_seq < e.seq)
        and (r.id is null or (r.status in ('succeeded', 'failed', 'cancelled', 'terminated') and not r.pinned))
      order by e.seq limit ${eventsPerBatch}) returning seq),
    told as (
      update kos.workspaces set events_pruned_to = greatest(events_pruned_to, (select max(seq) from gone)) where workspace_id = ${workspaceId} and exists (select from gone)
    )
    select count(*)::int as count from gone`;
  return removed?.count === eventsPerBatch;
}
