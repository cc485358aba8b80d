import type { FaultDetail } from '#core/errors.ts';
import { compilePlanText } from '#core/plan/compile.ts';
import type { CalledPlans } from '#core/plan/called-plans.ts';
import type { PlanEnvironment } from '#core/plan/compiled.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { PlanShape } from '#schemas/shape.ts';

export type PlanFormat = 'yaml' | 'json';

/** A plan that passed every check, ready to be saved and run. */
export interface CheckedPlan {
  name: string;
  /** SHA-256 (hex) of the RFC 8785 form. */
  digest: string;
  document: JsonObject;
  shape: PlanShape;
}

export type PlanVerdict = { ok: true; plan: CheckedPlan } | { ok: false; faults: FaultDetail[] };

/** Checks a plan's text against this installation's tools and models. Executes nothing. */
export type PlanCompiler = (source: string, format: PlanFormat, plans?: CalledPlans) => PlanVerdict;

export const createPlanCompiler =
  (environment: PlanEnvironment): PlanCompiler =>
  (source, format, plans) => {
    const result = compilePlanText(source, plans === undefined ? environment : { ...environment, plans }, format);
    if (!result.ok) return result;
    const { name, digest, document, shape } = result.compiled;
    return { ok: true, plan: { name, digest, document, shape } };
  };
