import type { Database, SystemDatabase } from '#services/database/connect.ts';

export interface DeltaRow {
  runId: string;
  stepPath: string;
  attempt: number;
  call: number;
  place: number;
  text: string;
  ended: boolean;
  /** So has its call, by this piece or another one. */
  callEnded: boolean;
  at: Date;
}

/** How much of a call's text is known. */
export interface KnownCall {
  run: string;
  path: string;
  call: number;
  length: number;
  ended: boolean;
}

/** Pieces of text that are not known yet, in the order of each call. `runIds` null: of the whole workspace. A call whose worker died is left out: nothing will follow. */
export async function readDeltas(database: Database, workspaceId: string, runIds: readonly string[] | null, known: readonly KnownCall[]): Promise<DeltaRow[]> {
  return database.inWorkspace(
    workspaceId,
    ({ sql }) => sql<DeltaRow[]>`
      select d.run_id as "runId", d.step_path as "stepPath", d.attempt, d.call, d.place, d.text, d.ended, d.at,
        bool_or(d.ended) over (partition by d.run_id, d.step_path, d.call) as "callEnded"
      from kos.model_deltas d
      left join jsonb_to_recordset(${sql.json(known.map((call) => ({ ...call })))}) as k(run text, path text, call bigint, length int, ended boolean)
        on k.run = d.run_id and k.path = d.step_path and k.call = d.call
      where d.workspace_id = ${workspaceId} ${runIds === null ? sql`` : sql`and d.run_id in ${sql(runIds as string[])}`}
        and (d.until > coalesce(k.length, 0) or (d.ended and not coalesce(k.ended, false)))
      order by d.run_id, d.step_path, d.call, d.place`,
  );
}

/** Text of calls that a lost worker has left: their steps have ended or are worked on again. */
export async function pruneDeltas({ sql }: SystemDatabase): Promise<void> {
  await sql`
    delete from kos.model_deltas d where d.at < clock_timestamp() - interval '1 minute'
      and not exists (select from kos.steps s where s.run_id = d.run_id and s.path = d.step_path and s.status = 'running' and s.attempt = d.attempt)`;
}
