import type { FaultDetail } from '#core/errors.ts';
import { checkTemplate } from '#core/expression/check.ts';
import { didYouMean } from '#core/expression/closest-name.ts';
import { boolType, couldBe, dyn, nameOf, typeFromSchema } from '#core/expression/static-type.ts';
import { readTemplate, type Template } from '#core/expression/template.ts';
import type { ApprovalArgument } from '#schemas/approval.ts';
import type { ApprovalRule, RuleDraft } from '#schemas/approval-rule.ts';
import type { Json } from '#schemas/json.ts';
import { isAsked } from './approvers.ts';

/** What an approval asks for, as far as it says whether a rule may give it. */
export interface AskedFor {
  required: number;
  fourEyes: boolean;
  approvers: readonly string[];
  arguments: readonly ApprovalArgument[];
}

export type Refusal = 'nothing_covered' | 'several_people' | 'four_eyes' | 'not_an_admins' | 'no_tool' | 'always_ask';

/**
 * Why no rule may decide this, whatever its arguments are; null: one may. A rule decides in the place of the admin who set it: only where one admin alone
 * could have, only on calls of tools, and never on those that are always asked for.
 */
export function refusalOf(asked: AskedFor, alwaysAsk: (tool: string) => boolean): Refusal | null {
  if (asked.arguments.length === 0) return 'nothing_covered';
  if (asked.required > 1) return 'several_people';
  if (asked.fourEyes) return 'four_eyes';
  if (!isAsked({ principalId: '', roles: ['admin'] }, asked.approvers)) return 'not_an_admins';
  if (asked.arguments.some(({ tool }) => tool === undefined)) return 'no_tool';
  return asked.arguments.some(({ tool }) => tool !== undefined && alwaysAsk(tool)) ? 'always_ask' : null;
}

/** `fs.*` is every tool of that room, and of the rooms in it. */
export function coversTool(pattern: string, tool: string): boolean {
  return pattern.endsWith('.*') ? tool.startsWith(pattern.slice(0, -1)) : pattern === tool;
}

/** A rule's condition may be written as in a plan, within `${…}`, or bare. */
export function conditionTemplate(condition: string): ReturnType<typeof readTemplate> {
  const trimmed = condition.trim();
  return readTemplate(trimmed.startsWith('${') && trimmed.endsWith('}') ? trimmed : `\${${trimmed}}`);
}

const absent = new Map(
  ['input', 'steps', 'run', 'item', 'index', 'error'].map((name) => [name, `${name} is not known to a rule: it sees arguments, the input of the call`]),
);

export interface ConditionFault {
  message: string;
  suggestion?: string | undefined;
}

/** What is wrong with a condition, whatever the arguments will be. `inputSchema`: of the tool, where the rule names one. */
export function checkCondition(condition: string, inputSchema: Json | null): ConditionFault[] {
  const { template, faults } = conditionTemplate(condition);
  if (faults.length > 0) return faults.map(({ message, suggestion }) => ({ message, suggestion }));
  if (template.root.kind !== 'expression') return [{ message: 'a condition is one expression, with nothing around it' }];
  const typed = checkTemplate(template, { variables: new Map([['arguments', inputSchema === null ? dyn : typeFromSchema(inputSchema)]]), absent });
  if (typed.faults.length > 0) return typed.faults.map(({ message, suggestion }) => ({ message, suggestion }));
  return couldBe(typed.type, boolType) ? [] : [{ message: `a condition gives true or false, and this gives ${nameOf(typed.type)}` }];
}

/** A tool that is installed, as far as rules look at it. */
export interface RuleTool {
  name: string;
  /** No rule may approve its calls. */
  alwaysAsk: boolean;
  inputSchema: Json;
}

/** What is wrong with a rule where these tools are installed. */
export function ruleFaults(draft: RuleDraft, tools: readonly RuleTool[]): FaultDetail[] {
  const covered = tools.filter(({ name }) => coversTool(draft.tool, name));
  const [only] = covered.length === 1 ? covered : [];
  const ofCondition = draft.when === undefined ? [] : checkCondition(draft.when, only?.inputSchema ?? null);
  return [...toolFaults(draft.tool, covered, tools), ...ofCondition.map((fault) => faultAt('/when', fault))];
}

function toolFaults(pattern: string, covered: readonly RuleTool[], tools: readonly RuleTool[]): FaultDetail[] {
  if (covered.some(({ alwaysAsk }) => !alwaysAsk)) return [];
  if (covered.length > 0) return [faultAt('/tool', { message: `"${pattern}" is always asked for: no rule can approve its calls` })];
  const names = tools.map(({ name }) => name);
  return [faultAt('/tool', { message: `there is no tool "${pattern}"`, suggestion: didYouMean(pattern, names) })];
}

const faultAt = (pointer: string, { message, suggestion }: ConditionFault): FaultDetail => ({
  pointer,
  message,
  ...(suggestion === undefined ? {} : { suggestion }),
});

/** True or false; a condition that cannot be evaluated, or gives anything else, is `failed`. */
export type Condition = (template: Template, argumentsOfCall: Json) => Promise<boolean | 'failed'>;

export interface Match {
  /** By which rules, when every argument is covered; null: people decide. */
  rules: Pick<ApprovalRule, 'name' | 'version'>[] | null;
  /** Rules that could not be evaluated on these arguments. They approve nothing. */
  failed: Pick<ApprovalRule, 'name' | 'version'>[];
}

/** Every argument needs a rule of its own. Rules are tried in the order of their names. */
export async function matchRules(rules: readonly ApprovalRule[], shown: readonly ApprovalArgument[], condition: Condition): Promise<Match> {
  const matched = new Map<string, Pick<ApprovalRule, 'name' | 'version'>>();
  const failed = new Map<string, Pick<ApprovalRule, 'name' | 'version'>>();
  let covered = 0;
  for (const argument of shown) {
    for (const rule of rules) {
      if (argument.tool === undefined || !coversTool(rule.tool, argument.tool)) continue;
      const met = rule.when === null ? true : await condition(conditionTemplate(rule.when).template, argument.input);
      const reference = { name: rule.name, version: rule.version };
      if (met === 'failed') failed.set(rule.name, reference);
      if (met !== true) continue;
      matched.set(rule.name, reference);
      covered += 1;
      break;
    }
  }
  return { rules: shown.length > 0 && covered === shown.length ? [...matched.values()] : null, failed: [...failed.values()] };
}
