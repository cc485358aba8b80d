import type { Json, JsonObject } from '#schemas/json.ts';
import { planLimits } from '#schemas/plan.ts';

/** A saved plan as one that runs it must know it. */
export interface CalledPlan {
  name: string;
  version: number;
  /** JSON Schema; null: it takes no input. */
  inputSchema: Json;
  /** References of the plans that its own steps run. */
  calls: string[];
}

/** By the reference as it is written: `name` or `name@version`. */
export type CalledPlans = ReadonlyMap<string, CalledPlan>;

/** The plans that a plan's steps run, as they are written. */
export function callsOf(document: JsonObject): string[] {
  const steps = Object.values((document['steps'] ?? {}) as JsonObject);
  const references = steps.flatMap((step) => (typeof step === 'object' && step !== null && 'plan' in step && typeof step.plan === 'string' ? [step.plan] : []));
  return [...new Set(references)];
}

export const nameOfReference = (reference: string): string => reference.split('@')[0] ?? reference;

export type CallFault = { fault: 'unknown'; reference: string } | { fault: 'recursion' | 'depth'; path: string[] };

/**
 * What is wrong with running `reference` from the plan `name`: it is not there, it leads back to a plan that is running already (in whatever version), or the
 * runs would stand too deep below one another. Null: nothing.
 */
export function faultOfCall(name: string, reference: string, plans: CalledPlans): CallFault | null {
  return new CallWalk(plans).visit(reference, [name]);
}

class CallWalk {
  private readonly plans: CalledPlans;
  /** The deepest place at which a plan was found to be fine: it is no worse further up. */
  private readonly fine = new Map<string, number>();

  constructor(plans: CalledPlans) {
    this.plans = plans;
  }

  visit(reference: string, above: string[]): CallFault | null {
    const plan = this.plans.get(reference);
    if (plan === undefined) return { fault: 'unknown', reference };
    const path = [...above, plan.name];
    if (above.includes(plan.name)) return { fault: 'recursion', path };
    if (above.length > planLimits.depth) return { fault: 'depth', path };
    if ((this.fine.get(reference) ?? -1) >= above.length) return null;
    for (const call of plan.calls) {
      const fault = this.visit(call, path);
      if (fault !== null) return fault;
    }
    this.fine.set(reference, above.length);
    return null;
  }
}
