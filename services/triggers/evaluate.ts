import { type FaultDetail, KosError } from '#core/errors.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { Template } from '#core/expression/template.ts';
import { readMapping } from '#core/trigger/mapping.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { TriggerTrial, TryTrigger } from '#schemas/trigger.ts';
import type { Transaction } from '#services/database/connect.ts';
import { checkedInput, findPlan } from '#services/runs/accept.ts';
import type { Evaluator } from '#services/expression/evaluator.ts';
import { invalidTrigger } from './secret.ts';
import type { DeliveredContent } from './read.ts';

export type Evaluating = Pick<Evaluator, 'evaluate' | 'validateInput'>;

const nothing = { input: null, steps: {}, run: { id: '', startedAt: '' } };

const valueOf = (evaluator: Pick<Evaluating, 'evaluate'>, template: Template, { headers, body }: DeliveredContent): Promise<Json> => {
  const scope: Scope = { ...nothing, headers, body };
  return evaluator.evaluate(template, scope);
};

/** The input of the run that a delivery starts; null: the filter lets none start. Throws KosError `expression_…`, `filter_not_boolean` (422). */
export async function mapDelivery(
  evaluator: Pick<Evaluating, 'evaluate'>,
  definition: { filter: string | null; input: JsonObject },
  content: DeliveredContent,
): Promise<JsonObject | null> {
  const { mapping, faults } = readMapping(definition);
  if (faults.length > 0) throw invalidTrigger(faults);
  if (mapping.filter !== null) {
    const matches = await valueOf(evaluator, mapping.filter, content);
    if (typeof matches !== 'boolean')
      throw new KosError({
        code: 'filter_not_boolean',
        message: `The filter gave ${JSON.stringify(matches).slice(0, 100)} on this delivery, not true or false.`,
        status: 422,
      });
    if (!matches) return null;
  }
  return (await valueOf(evaluator, mapping.input, content)) as JsonObject;
}

/** What a trigger would do with a delivery; changes nothing. Throws KosError `trigger_invalid` (422), `plan_not_found`, and what its expressions throw. */
export async function tryMapping(evaluator: Evaluating, transaction: Transaction, { plan, filter, input, sample }: TryTrigger): Promise<TriggerTrial> {
  const found = await findPlan(transaction.sql, plan);
  const mapped = await mapDelivery(evaluator, { filter, input }, { ...sample, headers: lowerNames(sample.headers) });
  if (mapped === null) return { matches: false, input: null, faults: [] };
  try {
    return { matches: true, input: await checkedInput(evaluator, found, mapped), faults: [] };
  } catch (error) {
    if (!(error instanceof KosError) || error.code !== 'input_invalid') throw error;
    return { matches: true, input: mapped, faults: error.details.map(({ pointer, message }: FaultDetail) => ({ pointer, message })) };
  }
}

export const lowerNames = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
