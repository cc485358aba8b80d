import { EvaluationError, type Environment } from '@marcbachmann/cel-js';
import { expressionLimits } from './limits.ts';
import { type CelValue, textOfCel } from './values.ts';

type List = readonly CelValue[];

function elements(list: Iterable<CelValue>): List {
  return Array.isArray(list) ? (list as List) : [...list];
}

function refuseLongList(length: number, name: string): void {
  if (length <= expressionLimits.listLength) return;
  throw new EvaluationError(`${name}() would make a list of ${length} elements, ${expressionLimits.listLength} are allowed`);
}

function range(start: bigint, end: bigint, step: bigint): bigint[] {
  if (step === 0n) throw new EvaluationError('range() needs a step other than 0');
  const span = step > 0n ? end - start : start - end;
  const stride = step > 0n ? step : -step;
  const length = span <= 0n ? 0n : (span + stride - 1n) / stride;
  refuseLongList(Number(length), 'range');
  return Array.from({ length: Number(length) }, (_, index) => start + BigInt(index) * step);
}

function sum(list: Iterable<CelValue>): bigint | number {
  let integers = 0n;
  let doubles: number | undefined;
  for (const element of list) {
    if (typeof element === 'bigint') integers += element;
    else if (typeof element === 'number') doubles = (doubles ?? 0) + element;
    else throw new EvaluationError(`sum() adds numbers, and the list holds ${describe(element)}`);
  }
  return doubles === undefined ? integers : doubles + Number(integers);
}

function describe(value: CelValue): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'bigint' || typeof value === 'number') return 'a number';
  return `a ${typeof value}`;
}

function comparable(value: CelValue, name: string): 'number' | 'string' | 'boolean' {
  if (typeof value === 'bigint' || typeof value === 'number') return 'number';
  if (typeof value === 'string' || typeof value === 'boolean') return typeof value as 'string' | 'boolean';
  throw new EvaluationError(`${name}() orders numbers, texts or booleans, not ${describe(value)}`);
}

/** Stable; texts by UTF-16 code units, so that the order is the same everywhere. */
function sortByKey(list: List, keyOf: (element: CelValue) => CelValue, name: string, direction = 1): CelValue[] {
  const keyed = list.map((element) => ({ element, key: keyOf(element) as number | string }));
  const kind = keyed[0] === undefined ? 'number' : comparable(keyed[0].key, name);
  for (const { key } of keyed) {
    if (comparable(key, name) !== kind) throw new EvaluationError(`${name}() cannot compare ${describe(key)} with ${describe(keyed[0]?.key)}`);
  }
  keyed.sort((a, b) => direction * (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return keyed.map(({ element }) => element);
}

function fieldOf(element: CelValue, field: string, name: string): CelValue {
  if (element instanceof Map && element.has(field)) return element.get(field);
  if (typeof element === 'object' && element !== null && Object.hasOwn(element, field)) return (element as Record<string, CelValue>)[field];
  throw new EvaluationError(`${name}() found an element without the field "${field}"`);
}

function sortBy(list: Iterable<CelValue>, field: string, order: string): CelValue[] {
  if (order !== 'asc' && order !== 'desc') throw new EvaluationError(`sortBy() knows the orders "asc" and "desc", not "${order}"`);
  return sortByKey(elements(list), (element) => fieldOf(element, field, 'sortBy'), 'sortBy', order === 'asc' ? 1 : -1);
}

function groupBy(list: Iterable<CelValue>, field: string): Map<string, CelValue[]> {
  const groups = new Map<string, CelValue[]>();
  for (const element of list) {
    const key = textOfCel(fieldOf(element, field, 'groupBy'));
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [element]);
    else group.push(element);
  }
  return groups;
}

function distinct(list: Iterable<CelValue>): CelValue[] {
  const seen = new Set<string>();
  const kept: CelValue[] = [];
  for (const element of list) {
    const key = `${typeof element === 'string' ? 's' : 'j'}${textOfCel(element)}`;
    if (seen.has(key)) continue;
    seen.add(key);
    kept.push(element);
  }
  return kept;
}

function flatten(list: Iterable<CelValue>): CelValue[] {
  const flat: CelValue[] = [];
  for (const element of list) {
    if (Array.isArray(element)) for (const inner of element) flat.push(inner);
    else flat.push(element);
  }
  refuseLongList(flat.length, 'flatten');
  return flat;
}

function join(list: Iterable<CelValue>, separator: string): string {
  const text = elements(list).map(textOfCel).join(separator);
  if (text.length > expressionLimits.textLength) {
    throw new EvaluationError(`join() would make a text of ${text.length} characters, ${expressionLimits.textLength} are allowed`);
  }
  return text;
}

/** Sorted, because stored JSON keeps no order of keys. */
function keys(map: Map<string, CelValue> | Record<string, CelValue>): string[] {
  return (map instanceof Map ? [...map.keys()] : Object.keys(map)).toSorted();
}

function toJson(value: CelValue): string {
  return typeof value === 'string' ? JSON.stringify(value) : textOfCel(value);
}

/** Signatures of the dialect's own functions; the checker reads their types from the engine, `documentation/plans` describes them. */
const dialectFunctions: [signature: string, handler: (...parameters: never[]) => unknown][] = [
  ['range(int): list<int>', (end: bigint) => range(0n, end, 1n)],
  ['range(int, int): list<int>', (start: bigint, end: bigint) => range(start, end, 1n)],
  ['range(int, int, int): list<int>', range],
  ['sum(list): dyn', sum],
  ['sort(list): list', (list: Iterable<CelValue>) => sortByKey(elements(list), (element) => element, 'sort')],
  ['sortBy(list, string): list', (list: Iterable<CelValue>, field: string) => sortBy(list, field, 'asc')],
  ['sortBy(list, string, string): list', sortBy],
  ['groupBy(list, string): map<string, list>', groupBy],
  ['distinct(list): list', distinct],
  ['flatten(list): list', flatten],
  ['join(list): string', (list: Iterable<CelValue>) => join(list, '')],
  ['join(list, string): string', join],
  ['keys(map): list<string>', keys],
  ['toJson(dyn): string', toJson],
];

/** int and double mix: JSON has one number type, and an author cannot know which of the two `2.0` was written as. */
function registerMixedArithmetic(environment: Environment): void {
  const operations: Record<string, (a: number, b: number) => number> = {
    '+': (a, b) => a + b,
    '-': (a, b) => a - b,
    '*': (a, b) => a * b,
    '/': (a, b) => a / b,
  };
  for (const [operator, calculate] of Object.entries(operations)) {
    const handler = (a: unknown, b: unknown) => calculate(Number(a), Number(b));
    environment.registerOperator(`int ${operator} double: double`, handler);
    environment.registerOperator(`double ${operator} int: double`, handler);
  }
}

export function registerDialect(environment: Environment): void {
  for (const [signature, handler] of dialectFunctions)
    environment.registerFunction(signature, handler as (...parameters: unknown[]) => unknown, { async: false });
  registerMixedArithmetic(environment);
}
