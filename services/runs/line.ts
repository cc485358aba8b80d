import type { WaitingFor } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';

/** Who competes for the same slots: runs of one plan, whatever its version, with an equal key. */
export interface Line {
  workspaceId: string;
  planName: string;
  key: string;
}

/** Of a line: the runs that have a slot, and those that wait for one, in the order in which they came. */
export interface Place {
  id: number;
  runId: string;
  slots: number;
  held: boolean;
}

export const placesOf = (sql: TransactionSql, { workspaceId, planName, key }: Line) => sql<Place[]>`
  select id, run_id as "runId", slots, held_at is not null as held from kos.concurrency_slots
  where workspace_id = ${workspaceId} and plan_name = ${planName} and key = ${key} order by id`;

export const namesOf = (places: readonly Place[]): string => {
  const named = places.slice(0, 5).map(({ runId }) => runId);
  return `${named.join(', ')}${places.length > named.length ? ` and ${places.length - named.length} more` : ''}`;
};

export const lineName = ({ planName, key }: Line): string => (key === '' ? planName : `${planName} with key "${key}"`);

export function waitsForSlot(line: Line, holders: readonly Place[], { slots }: Place, ahead: number): WaitingFor {
  const behind = ahead === 0 ? 'It is the next.' : `${ahead} ${ahead === 1 ? 'run waits' : 'runs wait'} before it.`;
  const text = `Waits for a slot: ${namesOf(holders)} ${holders.length === 1 ? 'holds' : 'hold'} the ${slots} of ${lineName(line)}. ${behind}`;
  return { kind: 'concurrency', ref: holders[0]?.runId ?? null, until: null, text };
}

/** Of a run that waits in line: for whom, and how many before it. Null: it does not wait in one. */
export async function describePlace(sql: TransactionSql, runId: string): Promise<WaitingFor | null> {
  const [line] = await sql<Line[]>`select workspace_id as "workspaceId", plan_name as "planName", key from kos.concurrency_slots where run_id = ${runId}`;
  if (line === undefined) return null;
  const places = await placesOf(sql, line);
  const waiting = places.filter(({ held }) => !held);
  const ahead = waiting.findIndex((place) => place.runId === runId);
  const place = waiting[ahead];
  return place === undefined
    ? null
    : waitsForSlot(
        line,
        places.filter(({ held }) => held),
        place,
        ahead,
      );
}
