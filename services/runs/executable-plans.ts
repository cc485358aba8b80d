import { KosError } from '#core/errors.ts';
import type { Claim } from '#core/engine/claim.ts';
import type { LoadedPlan } from '#core/plan/compiled.ts';
import { loadPlan } from '#core/plan/load.ts';
import { toolsOfStep } from '#core/plan/templates.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { Database } from '#services/database/connect.ts';
import type { ToolRegistry } from '#services/tools/tool.ts';
import { readFacts, type RunFacts } from './ledger/header.ts';
import { RecentMap } from './recent-map.ts';

/** A plan version as activities work with it. */
export interface ExecutablePlan {
  plan: LoadedPlan;
  shape: PlanShape;
  /** Versions of the tools it uses, as installed now: part of what an approval covers. */
  toolVersions: Record<string, number>;
}

export interface ExecutablePlans {
  get(facts: RunFacts): Promise<ExecutablePlan>;
}

/** Plan versions never change: each is parsed once per worker and kept while it is in use. */
export function createExecutablePlans(dependencies: { database: Database; tools: ToolRegistry }): ExecutablePlans {
  const recent = new RecentMap<Promise<ExecutablePlan>>(200);
  return {
    get: (facts) => recent.getOrMake(`${facts.workspaceId}/${facts.planName}@${facts.planVersion}`, () => readPlan(dependencies, facts)),
  };
}

async function readPlan({ database, tools }: { database: Database; tools: ToolRegistry }, facts: RunFacts): Promise<ExecutablePlan> {
  const rows = await database.inWorkspace(
    facts.workspaceId,
    ({ sql }) =>
      sql<
        { document: JsonObject; shape: PlanShape }[]
      >`select document, shape from kos.plan_versions where name = ${facts.planName} and version = ${facts.planVersion}`,
  );
  const [row] = rows;
  if (row === undefined)
    throw new KosError({
      code: 'plan_version_lost',
      message: `The plan version ${facts.planName}@${facts.planVersion} of run ${facts.runId} is not in the database.`,
      status: 500,
    });
  const plan = loadPlan(row.document);
  const names = plan.steps.flatMap(({ definition }) => toolsOfStep(definition));
  return { plan, shape: row.shape, toolVersions: Object.fromEntries(names.map((name) => [name, tools.get(name)?.version ?? 0])) };
}

export interface RunFactsReader {
  get(claim: Claim): Promise<RunFacts>;
}

export function createRunFactsReader({ database }: { database: Database }): RunFactsReader {
  const recent = new RecentMap<Promise<RunFacts>>(500);
  return { get: (claim) => recent.getOrMake(claim.runId, () => database.inWorkspace(claim.workspaceId, ({ sql, commit }) => readFacts(sql, claim, commit))) };
}
