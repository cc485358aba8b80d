import type { SystemDatabase } from '#services/database/connect.ts';
import type { ArtifactLocation, ArtifactStore } from './store.ts';

/** Content this old without a row belongs to nobody: no step takes a day between writing and recording. In milliseconds. */
const leftBehindAfterMs = 24 * 3_600_000;
const batchSize = 500;

/** Removes content that no artifact names: what a step wrote and never recorded or finished, and what was too young when its run was deleted. Returns how many. */
export async function sweepArtifacts(dependencies: { system: SystemDatabase; artifacts: ArtifactStore; now: () => number }): Promise<number> {
  const putBefore = new Date(dependencies.now() - leftBehindAfterMs);
  let removed = await dependencies.artifacts.removeUnfinished(putBefore);
  let batch: ArtifactLocation[] = [];
  const settle = async (): Promise<void> => {
    for (const location of await withoutArtifact(dependencies.system, batch)) {
      if ((await dependencies.artifacts.remove(location, putBefore)) === 'removed') removed += 1;
    }
    batch = [];
  };
  for await (const location of dependencies.artifacts.list(putBefore)) {
    batch.push(location);
    if (batch.length >= batchSize) await settle();
  }
  await settle();
  return removed;
}

async function withoutArtifact(system: SystemDatabase, locations: ArtifactLocation[]): Promise<ArtifactLocation[]> {
  if (locations.length === 0) return [];
  const rows = await system.sql<{ workspace_id: string; sha256: string }[]>`
    select distinct workspace_id, sha256 from kos.artifacts where sha256 in ${system.sql(locations.map((location) => location.sha256))}`;
  const named = new Set(rows.map((row) => `${row.workspace_id}/${row.sha256}`));
  return locations.filter((location) => !named.has(`${location.workspaceId}/${location.sha256}`));
}
