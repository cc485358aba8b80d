import { type AskedFor, type Condition, type Match, matchRules, refusalOf } from '#core/approval/rules.ts';
import { KosError } from '#core/errors.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { Template } from '#core/expression/template.ts';
import type { Json } from '#schemas/json.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { Tool } from '#services/tools/tool.ts';
import { readRules } from './read-rules.ts';

/** What rules are tried with. */
export interface RuleMeans {
  evaluator: { evaluate(template: Template, scope: Scope): Promise<Json> };
  tools: { get(name: string): Pick<Tool, 'alwaysAsk'> | undefined };
}

/** A tool that is not installed is always asked for. */
export const alwaysAsks =
  (tools: RuleMeans['tools']) =>
  (name: string): boolean =>
    tools.get(name)?.alwaysAsk ?? tools.get(name) === undefined;

/** The workspace's rules, as they are in this transaction, tried on what an approval asks for. */
export async function rulesThatApprove(sql: TransactionSql, means: RuleMeans, asked: AskedFor): Promise<Match> {
  if (refusalOf(asked, alwaysAsks(means.tools)) !== null) return { rules: null, failed: [] };
  return await matchRules(await readRules(sql), asked.arguments, conditionBy(means.evaluator));
}

/** A condition sees the call's arguments and nothing else. One that cannot be evaluated on them approves nothing. */
export const conditionBy =
  (evaluator: RuleMeans['evaluator']): Condition =>
  async (template, argumentsOfCall) => {
    try {
      const value = await evaluator.evaluate(template, { input: null, steps: {}, run: { id: '', startedAt: '' }, arguments: argumentsOfCall });
      return typeof value === 'boolean' ? value : 'failed';
    } catch (error) {
      if (error instanceof KosError && error.code.startsWith('expression_')) return 'failed';
      throw error;
    }
  };
