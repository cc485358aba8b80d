import { checkTemplate } from '#core/expression/check.ts';
import { objectOf, typeFromSchema } from '#core/expression/static-type.ts';
import { parseTemplate, readTemplate, type Template } from '#core/expression/template.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { OnFailure, Plan } from '#schemas/plan.ts';
import type { OutcomeError } from '#schemas/run.ts';
import { type CalledPlans, nameOfReference } from './called-plans.ts';
import type { FaultList } from './fault-list.ts';

const pointer = '/onFailure';
const absent = new Map(['steps', 'item', 'index', 'run', 'error'].map((name) => [name, 'is not known here: only the input of the run that failed is']));

/** What the plan is given besides its own input: which run failed, and why. */
const failureKey = 'failure';

export const readHandlerInput = (rule: Pick<OnFailure, 'input'>): Template => parseTemplate(rule.input ?? {});

/** The input of the run that a failure starts. */
export function handlerInput(own: JsonObject, failed: { runId: string; plan: string; error: OutcomeError | null }): JsonObject {
  const { runId, plan, error } = failed;
  return { ...own, [failureKey]: { runId, plan, code: error?.code ?? 'failed', message: error?.message ?? '', stepPath: error?.stepPath ?? null } };
}

/** `plans`: those of the workspace, where they are known. */
export function checkOnFailure(plan: Plan, plans: CalledPlans | undefined, faults: FaultList): void {
  const { onFailure } = plan;
  if (onFailure === undefined) return;
  checkHandler(plan.plan, onFailure.plan, plans, faults);
  if (onFailure.input === undefined) return;
  if (failureKey in onFailure.input) faults.add(`${pointer}/input/${failureKey}`, `"${failureKey}" is what kOS gives the plan: which run failed, and why`);
  const { template, faults: unread } = readTemplate(onFailure.input);
  for (const fault of unread) faults.addTemplateFault(`${pointer}/input`, fault);
  if (unread.length > 0) return;
  const input = plan.input === undefined ? objectOf({}) : typeFromSchema(plan.input);
  for (const fault of checkTemplate(template, { variables: new Map([['input', input]]), absent }).faults) faults.addTemplateFault(`${pointer}/input`, fault);
}

/** A plan may handle its own failures: the run that a failure starts never starts another. */
function checkHandler(name: string, reference: string, plans: CalledPlans | undefined, faults: FaultList): void {
  if (plans === undefined || nameOfReference(reference) === name) return;
  const handler = plans.get(reference);
  if (handler === undefined) {
    faults.add(`${pointer}/plan`, `there is no plan "${reference}"`, { suggestion: 'save it first: kai plan save FILE; see what there is: kai plan list' });
  } else if (handler.inputSchema === null) {
    faults.add(`${pointer}/plan`, `the plan "${reference}" takes no input, and is given "${failureKey}"`, {
      suggestion: `declare it there: input: { type: object, properties: { ${failureKey}: { type: object } } }`,
    });
  }
}
