import type { Scope } from '#core/expression/scope.ts';
import { itemPath } from '#core/plan/step-path.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { readItem } from '#services/runs/ledger/take-step.ts';
import { readOutput } from '#services/runs/ledger/undos.ts';
import { itemValue } from './artifact-lines.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import type { StepWork, UndoneStep } from './step-work.ts';

/** What the input of an undo sees: what its step saw, and what that has put out. */
export async function scopeOfUndo(
  dependencies: Pick<RunActivityDependencies, 'artifacts'>,
  sql: TransactionSql,
  work: StepWork,
  undone: UndoneStep,
  base: Scope,
): Promise<Scope> {
  const { claim, executable } = work;
  const scope: Scope = { ...base, output: await readOutput(sql, claim.runId, undone.path) };
  if (undone.iteration !== undefined) scope.iteration = undone.iteration;
  const compiled = executable.plan.steps[undone.step];
  if (undone.item === null || compiled === undefined) return scope;
  const place = { path: itemPath(compiled.id, undone.item), step: undone.step, item: undone.item, kind: compiled.kind };
  const item = await itemValue(dependencies, sql, { ...work, compiled }, await readItem(sql, claim, place));
  return item === null ? scope : { ...scope, item: item.value, index: item.index };
}
