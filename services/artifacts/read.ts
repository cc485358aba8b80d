import { KosError } from '#core/errors.ts';
import type { Artifact } from '#schemas/artifact.ts';
import type { Transaction } from '#services/database/connect.ts';
import { decodeNewestFirst, newestFirstKey, type Page, pageOf } from '#services/paging/page.ts';

interface ArtifactRow {
  id: string;
  run_id: string;
  step_path: string;
  name: string;
  media_type: string;
  size_bytes: number;
  sha256: string;
  created_at: Date;
}

const showArtifact = (row: ArtifactRow): Artifact => ({
  id: row.id,
  runId: row.run_id,
  stepPath: row.step_path,
  name: row.name,
  mediaType: row.media_type,
  sizeBytes: row.size_bytes,
  sha256: row.sha256,
  createdAt: row.created_at.toISOString(),
});

export interface ArtifactFilter {
  runId: string | null;
  cursor: string | null;
  limit: number;
}

/** Newest first. */
export async function listArtifacts({ sql }: Transaction, filter: ArtifactFilter): Promise<Page<Artifact>> {
  const before = filter.cursor === null ? null : decodeNewestFirst(filter.cursor);
  const rows = await sql<ArtifactRow[]>`
    select id, run_id, step_path, name, media_type, size_bytes, sha256, created_at from kos.artifacts
    where ${filter.runId === null ? sql`true` : sql`run_id = ${filter.runId}`}
      and ${before === null ? sql`true` : sql`(created_at, id) < (${before.createdAt}, ${before.id})`}
    order by created_at desc, id desc limit ${filter.limit + 1}`;
  return pageOf(rows, filter.limit, showArtifact, (row) => newestFirstKey({ createdAt: row.created_at, id: row.id }));
}

/** Throws KosError `artifact_not_found`, for another workspace's artifact too. */
export async function readArtifact({ sql }: Pick<Transaction, 'sql'>, artifactId: string): Promise<Artifact> {
  const [row] = await sql<ArtifactRow[]>`
    select id, run_id, step_path, name, media_type, size_bytes, sha256, created_at from kos.artifacts where id = ${artifactId}`;
  if (row === undefined) throw artifactNotFound(artifactId);
  return showArtifact(row);
}

export const artifactNotFound = (artifactId: string): KosError =>
  new KosError({ code: 'artifact_not_found', message: `There is no artifact ${artifactId} in this workspace.`, fix: 'kai artifact list', status: 404 });
