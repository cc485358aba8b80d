import type { EventType, KosEvent } from '#schemas/event.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { Database, SystemDatabase } from '#services/database/connect.ts';
import { formatPosition, parsePosition } from './position.ts';

export interface EventScope {
  workspaceId: string;
  /** Null: every event of the workspace. */
  runId: string | null;
}

/** What stands of the numbering, which is the installation's own and holds nothing of any workspace. */
export interface SequencerState {
  epoch: string;
  lastSeq: number;
}

export async function readSequencerState(system: SystemDatabase): Promise<SequencerState> {
  const [row] = await system.sql<{ epoch: string; last: number }[]>`select epoch, last_event_seq as last from kos.sequencer where id = 1`;
  if (row === undefined) throw new Error('The table kos.sequencer has lost its row.');
  return { epoch: row.epoch, lastSeq: row.last };
}

interface EventRow {
  id: string;
  seq: number;
  type: EventType;
  workspace_id: string;
  run_id: string | null;
  at: Date;
  data: JsonObject;
}

/** Events after `afterSeq`, in the sequencer's order, at most `limit`. Only numbered ones exist for a reader: commit order is not insert order. */
export async function readEvents(database: Database, scope: EventScope, epoch: string, afterSeq: number, limit: number): Promise<KosEvent[]> {
  const rows = await database.inWorkspace(
    scope.workspaceId,
    ({ sql }) => sql<EventRow[]>`
      select id, seq, type, workspace_id, run_id, at, data from kos.events
      where ${scope.runId === null ? sql`workspace_id = ${scope.workspaceId}` : sql`run_id = ${scope.runId}`} and seq > ${afterSeq}
      order by seq limit ${limit}`,
  );
  return rows.map((row) => ({
    id: row.id,
    position: formatPosition({ epoch, seq: row.seq }),
    type: row.type,
    workspaceId: row.workspace_id,
    runId: row.run_id,
    at: row.at.toISOString(),
    data: row.data,
  }));
}

/** Where a reader goes on. `reset` says why it cannot go on from where it was: it then starts over, with the oldest event that is kept. */
export interface ResumePoint {
  epoch: string;
  afterSeq: number;
  reset: 'position_unknown' | 'another_epoch' | 'beyond_retention' | null;
}

/** `after`: a position that the reader has seen, or null for the beginning. */
export async function resumeFrom(database: Database, system: SystemDatabase, scope: EventScope, after: string | null): Promise<ResumePoint> {
  const state = await readSequencerState(system);
  const over = (reset: ResumePoint['reset']): ResumePoint => ({ epoch: state.epoch, afterSeq: 0, reset });
  if (after === null) return over(null);
  const position = parsePosition(after);
  if (position === null) return over('position_unknown');
  if (position.epoch !== state.epoch || position.seq > state.lastSeq) return over('another_epoch');
  if (position.seq > 0 && !(await isKept(database, scope, position.seq))) return over('beyond_retention');
  return { epoch: state.epoch, afterSeq: position.seq, reset: null };
}

/** Where a reader of a workspace's events stands who wants only what comes. */
export async function standNow(database: Database, system: SystemDatabase, workspaceId: string): Promise<ResumePoint> {
  const { epoch } = await readSequencerState(system);
  const [row] = await database.inWorkspace(
    workspaceId,
    ({ sql }) => sql<{ last: number | null }[]>`
      select greatest((select max(seq) from kos.events where workspace_id = ${workspaceId}), w.events_pruned_to) as last
      from kos.workspaces w where w.workspace_id = ${workspaceId}`,
  );
  return { epoch, afterSeq: row?.last ?? 0, reset: null };
}

/**
 * Whether all that followed an event is kept. Retention removes the oldest first, but for those of runs that are open or pinned: what a workspace has lost it remembers
 * by the highest number, and a run has lost nothing as long as its event that was seen last is there. What goes with a run that somebody deletes is nobody's loss.
 */
async function isKept(database: Database, { workspaceId, runId }: EventScope, seq: number): Promise<boolean> {
  const found = await database.inWorkspace(
    workspaceId,
    ({ sql }) => sql`
      select 1 from kos.workspaces w where w.workspace_id = ${workspaceId}
        and (w.events_pruned_to <= ${seq} ${runId === null ? sql`` : sql`or exists (select from kos.events where seq = ${seq} and run_id = ${runId})`})`,
  );
  return found.length > 0;
}
