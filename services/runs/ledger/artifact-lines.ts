import type { Claim } from '#core/engine/claim.ts';
import type { Artifact } from '#schemas/artifact.ts';
import type { LinePlace } from '#services/artifacts/lines.ts';
import { artifactNotFound } from '#services/artifacts/read.ts';
import { jsonParameter, type TransactionSql } from '#services/database/connect.ts';

/** The artifact whose lines are a step's items: the digest names the content, whatever becomes of the artifact's row. */
export interface LineSource {
  artifactId: string;
  sha256: string;
}

/** Keeps the artifact as long as this run. Throws KosError `artifact_not_found` when it was deleted meanwhile. */
export async function keepArtifact(sql: TransactionSql, { workspaceId, runId }: Claim, artifactId: string): Promise<void> {
  const kept = await sql`select 1 from kos.artifacts where id = ${artifactId} for key share`;
  if (kept.length === 0) throw artifactNotFound(artifactId);
  await sql`insert into kos.artifact_references (workspace_id, artifact_id, run_id) values (${workspaceId}, ${artifactId}, ${runId}) on conflict do nothing`;
}

/** One pending row for each line, which says where it stands; what stands there is read when its turn comes. A repeat changes nothing. */
export async function insertLines(
  sql: TransactionSql,
  { workspaceId, runId }: Claim,
  place: { path: string; step: number; kind: string },
  artifact: Artifact,
  lines: readonly LinePlace[],
): Promise<void> {
  const list = lines.map(({ at, bytes }) => ({ line: { at, bytes } }));
  await sql`
    insert into kos.steps (workspace_id, run_id, path, step, item, kind, status, metadata)
    select ${workspaceId}, ${runId}, ${place.path}::text || '[' || (position - 1) || ']', ${place.step}::int, (position - 1)::int, ${place.kind}::text, 'pending', value::jsonb
    from json_array_elements(${jsonParameter(sql, list)}) with ordinality as list(value, position)
    on conflict (run_id, path) do nothing`;
  const source: LineSource = { artifactId: artifact.id, sha256: artifact.sha256 };
  await sql`update kos.steps set metadata = metadata || ${sql.json({ linesOf: { ...source } })} where run_id = ${runId} and path = ${place.path}`;
}

export async function readLineSource(sql: TransactionSql, runId: string, path: string): Promise<LineSource> {
  const [row] = await sql<{ source: LineSource | null }[]>`select metadata->'linesOf' as source from kos.steps where run_id = ${runId} and path = ${path}`;
  const source = row?.source ?? null;
  if (source === null) throw new Error(`The step ${path} of ${runId} has items that are lines, and does not say of what.`);
  return source;
}
