import type { FaultDetail } from '#core/errors.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { PlanShape } from '#schemas/shape.ts';

export type PlanFormat = 'yaml' | 'json';

/** A plan that passed every check, ready to be saved and run. */
export interface CheckedPlan {
  name: string;
  description: string | null;
  /** SHA-256 (hex) of the RFC 8785 form. */
  digest: string;
  document: JsonObject;
  shape: PlanShape;
}

export type PlanVerdict = { ok: true; plan: CheckedPlan } | { ok: false; faults: FaultDetail[] };

/** Checks a plan's text against this installation's tools and models. Executes nothing. */
export type PlanCompiler = (source: string, format: PlanFormat) => PlanVerdict;
