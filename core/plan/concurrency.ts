import { checkTemplate } from '#core/expression/check.ts';
import { boolType, couldBe, nameOf, numberType, objectOf, stringType, typeFromSchema } from '#core/expression/static-type.ts';
import { parseTemplate, readTemplate, type Template } from '#core/expression/template.ts';
import type { ConcurrencyRule, Plan } from '#schemas/plan.ts';
import type { FaultList } from './fault-list.ts';

const pointer = '/concurrency/key';
const notYet = 'is not known yet: the key is found when the run is accepted, from its input alone';
const absent = new Map(['steps', 'item', 'index', 'run'].map((name) => [name, notYet]));

/** Without a key, all runs of the plan share its slots. */
export const readConcurrencyKey = (rule: Pick<ConcurrencyRule, 'key'>): Template => parseTemplate(rule.key ?? '');

/** The key sees the input, and gives something short that two runs can have in common. */
export function checkConcurrency(plan: Plan, faults: FaultList): void {
  if (plan.concurrency?.key === undefined) return;
  const { template, faults: unread } = readTemplate(plan.concurrency.key);
  for (const fault of unread) faults.addTemplateFault(pointer, fault);
  if (unread.length > 0) return;
  const input = plan.input === undefined ? objectOf({}) : typeFromSchema(plan.input);
  const typed = checkTemplate(template, { variables: new Map([['input', input]]), absent });
  for (const fault of typed.faults) faults.addTemplateFault(pointer, fault);
  if (typed.faults.length > 0 || [stringType, numberType, boolType].some((wanted) => couldBe(typed.type, wanted))) return;
  faults.add(pointer, `the key must be text, a number or a boolean, and this is ${nameOf(typed.type)}`);
}
