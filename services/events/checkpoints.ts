import { signCheckpoint } from '#core/audit/checkpoint.ts';
import { rootOf, unpackFrontier } from '#core/audit/merkle.ts';
import type { NoteSigner } from '#core/audit/signed-note.ts';
import type { SystemDatabase } from '#services/database/connect.ts';

/** Signs the tree as it is, if it has grown since the last checkpoint. Returns the signed note, or null. */
export async function writeCheckpoint(system: SystemDatabase, signer: NoteSigner): Promise<string | null> {
  const [row] = await system.sql<{ size: number; frontier: Buffer; signed: number }[]>`
    select audit_size as size, audit_frontier as frontier, coalesce((select max(size) from kos.checkpoints), 0) as signed from kos.sequencer where id = 1`;
  if (row === undefined || row.size <= row.signed) return null;
  const root = rootOf(unpackFrontier(row.size, row.frontier));
  const note = signCheckpoint({ origin: signer.name, size: row.size, root }, signer);
  await system.sql`insert into kos.checkpoints (size, root, note) values (${row.size}, ${Buffer.from(root)}, ${note}) on conflict (size) do nothing`;
  return note;
}
