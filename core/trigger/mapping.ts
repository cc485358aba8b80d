import { conditionTemplate } from '#core/approval/rules.ts';
import type { FaultDetail } from '#core/errors.ts';
import { checkTemplate } from '#core/expression/check.ts';
import { boolType, couldBe, dyn, nameOf } from '#core/expression/static-type.ts';
import { readTemplate, type Template } from '#core/expression/template.ts';
import type { JsonObject } from '#schemas/json.ts';

/** What a trigger makes of a delivery, read once. */
export interface Mapping {
  /** Null: everything starts a run. */
  filter: Template | null;
  input: Template;
}

const variables = new Map([
  ['body', dyn],
  ['headers', dyn],
]);

const absent = new Map(
  ['input', 'steps', 'run', 'item', 'index', 'error', 'arguments', 'iteration', 'last', 'output', 'check'].map((name) => [
    name,
    `${name} is not known to a trigger: it sees body and headers, what was delivered`,
  ]),
);

/** Reads filter and input, and says what is wrong with them whatever will be delivered. */
export function readMapping({ filter, input }: { filter: string | null; input: JsonObject }): { mapping: Mapping; faults: FaultDetail[] } {
  const condition = filter === null ? null : conditionTemplate(filter);
  const read = readTemplate(input);
  const faults = [...read.faults, ...(read.faults.length > 0 ? [] : checkTemplate(read.template, { variables, absent }).faults)].map((fault) => ({
    pointer: `/input${fault.pointer}`,
    message: fault.message,
    ...(fault.suggestion === undefined ? {} : { suggestion: fault.suggestion }),
  }));
  return { mapping: { filter: condition?.template ?? null, input: read.template }, faults: [...faultsOfFilter(condition), ...faults] };
}

function faultsOfFilter(condition: ReturnType<typeof readTemplate> | null): FaultDetail[] {
  if (condition === null) return [];
  const { template, faults } = condition;
  const at = (message: string): FaultDetail => ({ pointer: '/filter', message });
  if (faults.length > 0) return faults.map(({ message }) => at(message));
  if (template.root.kind !== 'expression') return [at('a filter is one expression, with nothing around it')];
  const typed = checkTemplate(template, { variables, absent });
  if (typed.faults.length > 0) return typed.faults.map(({ message }) => at(message));
  return couldBe(typed.type, boolType) ? [] : [at(`a filter gives true or false, and this gives ${nameOf(typed.type)}`)];
}
