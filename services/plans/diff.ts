import { diffPlans, type Installed } from '#core/plan/diff.ts';
import type { LoadedPlan } from '#core/plan/compiled.ts';
import { loadPlan } from '#core/plan/load.ts';
import type { PlanDiff, PlanSide } from '#schemas/plan-diff.ts';
import type { Database } from '#services/database/connect.ts';
import { checkText } from './called-plans.ts';
import type { PlanCompiler } from './compiler.ts';
import { readPlanVersion } from './read.ts';
import { assertValid } from './save.ts';

/** Throws KosError `plan_not_found`, `plan_version_not_found` (404), `plan_invalid` (422). Executes and saves nothing. */
export async function diffSides(
  dependencies: { database: Database; compile: PlanCompiler; installed: Installed },
  { workspaceId, from, to }: { workspaceId: string; from: PlanSide; to: PlanSide },
): Promise<PlanDiff> {
  return diffPlans(await loadSide(dependencies, workspaceId, from), await loadSide(dependencies, workspaceId, to), dependencies.installed);
}

async function loadSide({ database, compile }: { database: Database; compile: PlanCompiler }, workspaceId: string, side: PlanSide): Promise<LoadedPlan> {
  if (typeof side !== 'string') return loadPlan(assertValid(await checkText(database, compile, { workspaceId, ...side })).document);
  const [name = '', version] = side.split('@');
  const saved = await database.inWorkspace(workspaceId, (transaction) => readPlanVersion(transaction, name, version === undefined ? null : Number(version)));
  return loadPlan(saved.document);
}
