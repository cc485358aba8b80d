import type { Payload } from '@temporalio/common';
import type { WirePayload } from '#schemas/codec.ts';
import type { Database } from '#services/database/connect.ts';
import type { Sealing } from '#services/sealing/sealing.ts';
import { openAsNamed, workflowNamedBy } from './codec.ts';

export interface RemoteCodecMeans {
  database: Database;
  sealing: Sealing;
  namespace: string;
}

/**
 * Opens payloads for a reader of one workspace: those whose workflow works on a run or a schedule of it. What is of somebody else, of nothing that is kept any
 * more, or not sealed, comes back as it was; Temporal's tools then show what they have.
 */
export async function decodeForReader(means: RemoteCodecMeans, workspaceId: string, given: readonly WirePayload[]): Promise<WirePayload[]> {
  const payloads = given.map(fromWire);
  const owners = payloads.map(ownerOf);
  const theirs = await ownersIn(means.database, workspaceId, new Set(owners.filter((owner) => owner !== null)));
  return given.map((wire, index) => {
    const [payload, owner] = [payloads[index], owners[index] ?? null];
    const opened = payload === undefined || owner === null || !theirs.has(owner) ? null : openAsNamed(means, payload);
    return opened === null ? wire : toWire(opened);
  });
}

/** The run or schedule whose work a workflow does, as its id begins; null: it names none. */
function ownerOf(payload: Payload): string | null {
  return /^(run|sch)_[0-9a-f-]{36}(?![0-9a-f])/.exec(workflowNamedBy(payload) ?? '')?.[0] ?? null;
}

async function ownersIn(database: Database, workspaceId: string, ids: ReadonlySet<string>): Promise<Set<string>> {
  if (ids.size === 0) return new Set();
  const rows = await database.inWorkspace(
    workspaceId,
    ({ sql }) => sql<{ id: string }[]>`
      select id from kos.runs where id in ${sql([...ids])} union all select id from kos.schedules where id in ${sql([...ids])}`,
  );
  return new Set(rows.map(({ id }) => id));
}

const fromWire = ({ metadata = {}, data }: WirePayload): Payload => ({
  metadata: Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value, 'base64')])),
  ...(data === undefined ? {} : { data: Buffer.from(data, 'base64') }),
});

const toWire = ({ metadata, data }: Payload): WirePayload => ({
  metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')])),
  ...(data === null || data === undefined ? {} : { data: Buffer.from(data).toString('base64') }),
});
