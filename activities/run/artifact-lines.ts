import { KosError } from '#core/errors.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import type { Artifact } from '#schemas/artifact.ts';
import type { Json } from '#schemas/json.ts';
import type { LineForm } from '#schemas/plan.ts';
import { readLine } from '#services/artifacts/lines.ts';
import { readArtifact } from '#services/artifacts/read.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { readLineSource } from '#services/runs/ledger/artifact-lines.ts';
import type { ItemOfStep } from '#services/runs/ledger/take-step.ts';
import type { RunWork } from './close-run.ts';
import type { RunActivityDependencies } from './dependencies.ts';

/** The artifact that a `forEach` names. Throws KosError `for_each_no_artifact`, `artifact_not_found` (deleted, or another workspace's). */
export async function namedArtifact(sql: TransactionSql, compiled: CompiledStep, value: Json): Promise<Artifact> {
  if (typeof value === 'string') return await readArtifact({ sql }, value);
  throw new KosError({
    code: 'for_each_no_artifact',
    message: `The forEach of ${compiled.id} names no artifact: its expression gave ${JSON.stringify(value).slice(0, 200)}.`,
    fix: 'Let it give the id of one, such as ${steps.STEP.output.artifactId}.',
    status: 422,
  });
}

/**
 * The value of an item, as expressions see it; null: the step is no item. A line is read where it stands, in the content that its digest names: whoever comes
 * again reads the same. Throws KosError `artifact_content_missing`, `artifact_content_damaged`.
 */
export async function itemValue(
  { artifacts }: Pick<RunActivityDependencies, 'artifacts'>,
  sql: TransactionSql,
  { claim, known, compiled }: Pick<RunWork, 'claim' | 'known'> & { compiled: CompiledStep },
  step: ItemOfStep,
): Promise<{ value: Json; index: number } | null> {
  const { item, line } = step;
  if (item === null) return null;
  if (line === null) return { value: step.input, index: item };
  const source = known.lineSource(compiled.number) ?? (await readLineSource(sql, claim.runId, compiled.id));
  known.addLineSource(compiled.number, source);
  const { artifactId, sha256 } = source;
  const bytes = await artifacts.read({ workspaceId: claim.workspaceId, sha256 }, line);
  return { value: readLine(bytes, compiled.lines as LineForm, { artifact: { id: artifactId }, line: item + 1 }), index: item };
}
