import { KosError } from '#core/errors.ts';
import { isFinalRunStatus, type RunStatus } from '#schemas/run.ts';
import type { ArtifactStore } from '#services/artifacts/store.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import { runNotFound } from './read.ts';

/** Content younger than this may belong to a step that is about to record it, in milliseconds; the sweep takes it later. */
const youngContentMs = 10 * 60_000;

/**
 * Removes everything of runs but their audit entries: an output or an artifact goes with the last run that refers to it. For final runs of one
 * workspace; returns the contents (SHA-256, hex) that no artifact names any more, to be removed from the store once this transaction has committed.
 */
export async function removeRunRows(sql: TransactionSql, workspaceId: string, runIds: string[]): Promise<string[]> {
  const ofRuns = sql`workspace_id = ${workspaceId} and run_id in ${sql(runIds)}`;
  const outputs = await sql<{ id: string }[]>`delete from kos.output_references where ${ofRuns} returning output_id as id`;
  if (outputs.length > 0) {
    // Locked before it is looked who else refers to them: somebody may be about to.
    await sql`select from kos.outputs where workspace_id = ${workspaceId} and id in ${sql(outputs.map((row) => row.id))} order by id for update`;
    await sql`
      delete from kos.outputs o where o.workspace_id = ${workspaceId} and o.id in ${sql(outputs.map((row) => row.id))}
        and not exists (select 1 from kos.output_references r where r.output_id = o.id)`;
  }
  const contents = await removeArtifactRows(sql, workspaceId, runIds);
  await sql`delete from kos.cache_entries where ${ofRuns}`;
  await sql`delete from kos.steps where ${ofRuns}`;
  await sql`delete from kos.effects where ${ofRuns}`;
  await sql`delete from kos.approval_escalations where ${ofRuns}`;
  await sql`delete from kos.approvals where ${ofRuns}`;
  await sql`delete from kos.waits where ${ofRuns}`;
  await sql`delete from kos.signals where ${ofRuns}`;
  await sql`delete from kos.model_calls where ${ofRuns}`;
  await sql`delete from kos.outbox where ${ofRuns}`;
  await sql`delete from kos.outgoing_deliveries where ${ofRuns}`;
  await sql`delete from kos.events where ${ofRuns}`;
  await sql`delete from kos.runs where workspace_id = ${workspaceId} and id in ${sql(runIds)}`;
  return contents;
}

async function removeArtifactRows(sql: TransactionSql, workspaceId: string, runIds: string[]): Promise<string[]> {
  const references = await sql<{ id: string }[]>`
    delete from kos.artifact_references where workspace_id = ${workspaceId} and run_id in ${sql(runIds)} returning artifact_id as id`;
  if (references.length === 0) return [];
  await sql`select from kos.artifacts where workspace_id = ${workspaceId} and id in ${sql(references.map((row) => row.id))} order by id for update`;
  const removed = await sql<{ sha256: string }[]>`
    delete from kos.artifacts a where a.workspace_id = ${workspaceId} and a.id in ${sql(references.map((row) => row.id))}
      and not exists (select 1 from kos.artifact_references r where r.artifact_id = a.id) returning sha256`;
  if (removed.length === 0) return [];
  const digests = [...new Set(removed.map((row) => row.sha256))];
  const kept = await sql<{ sha256: string }[]>`select distinct sha256 from kos.artifacts where workspace_id = ${workspaceId} and sha256 in ${sql(digests)}`;
  const stillNamed = new Set(kept.map((row) => row.sha256));
  return digests.filter((sha256) => !stillNamed.has(sha256));
}

async function lockRunAndSubRuns(sql: TransactionSql, workspaceId: string, runId: string): Promise<{ id: string; status: RunStatus }[]> {
  return await sql<{ id: string; status: RunStatus }[]>`
    with recursive below as (
      select id from kos.runs where workspace_id = ${workspaceId} and id = ${runId}
      union all select r.id from kos.runs r join below on r.parent_run_id = below.id
    )
    select id, status from kos.runs where id in (select id from below) for update`;
}

/** `DELETE /v1/runs/{id}`: the run and those that its steps have started. Runs as `kos_system`, since the application may not delete what is on the record. Throws KosError `run_open` (409). */
export async function deleteRun(
  dependencies: { system: SystemDatabase; artifacts: ArtifactStore; now: () => number },
  request: { workspaceId: string; actor: string; runId: string },
): Promise<void> {
  const { workspaceId, actor, runId } = request;
  const contents = await dependencies.system.sql.begin(async (sql) => {
    const runs = await lockRunAndSubRuns(sql, workspaceId, runId);
    if (runs.length === 0) throw runNotFound(runId);
    const open = runs.find(({ status }) => !isFinalRunStatus(status));
    if (open !== undefined) throw runOpen(open.id, open.status);
    const unnamed = await removeRunRows(
      sql,
      workspaceId,
      runs.map(({ id }) => id),
    );
    await recordAudit(
      sql,
      runs.map(({ id, status }) => ({ workspaceId, actor, action: 'run.delete', subject: id, data: { status } })),
    );
    return unnamed;
  });
  await removeContents(dependencies, workspaceId, contents);
}

/** Removes contents that no row names any more; what is too young stays for the sweep. */
export async function removeContents(dependencies: { artifacts: ArtifactStore; now: () => number }, workspaceId: string, contents: string[]): Promise<void> {
  const putBefore = new Date(dependencies.now() - youngContentMs);
  for (const sha256 of contents) await dependencies.artifacts.remove({ workspaceId, sha256 }, putBefore);
}

const runOpen = (runId: string, status: RunStatus): KosError =>
  new KosError({
    code: 'run_open',
    message: `The run ${runId} is ${status}: only a run that has ended can be deleted.`,
    fix: `kai run cancel ${runId}`,
    status: 409,
    extra: { runStatus: status },
  });
