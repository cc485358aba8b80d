import { didYouMean } from '#core/expression/closest-name.ts';
import { typeOfNode } from '#core/expression/check.ts';
import type { Expression } from '#core/expression/expression.ts';
import { couldBe, nameOf, resolveReference, type StaticType, typeFromSchema } from '#core/expression/static-type.ts';
import { escapePointer, type TemplateNode } from '#core/expression/template.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { validateJson } from './json-schema.ts';

export interface ConformanceFault {
  pointer: string;
  message: string;
  suggestion: string | undefined;
  part: 'key' | 'value';
}

interface Context {
  root: Json;
  typeOf: (expression: Expression) => StaticType;
}

const deepest = 20;

/** Holds a template against the JSON Schema its value must meet: constants exactly, expressions by their type. */
export function checkConformance(node: TemplateNode, schema: Json, typeOf: Context['typeOf'], pointer = ''): ConformanceFault[] {
  return check(node, schema, { root: schema, typeOf }, pointer, 0);
}

function check(node: TemplateNode, schema: Json, context: Context, pointer: string, depth: number): ConformanceFault[] {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema) || depth > deepest) return [];
  if (typeof schema['$ref'] === 'string') return check(node, resolveReference(schema['$ref'], context.root) ?? true, context, pointer, depth + 1);
  const options = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(options)) return nearest(options.map((option) => check(node, option, context, pointer, depth + 1)));
  if (node.kind === 'constant' && !isObject(node.value)) return checkConstant(node.value, schema, context, pointer);
  const expanded = expand(node);
  if (expanded.kind === 'object' && mayBeObject(schema)) return checkObject(expanded.entries, schema, context, pointer, depth);
  if (expanded.kind === 'list' && typeof schema['items'] === 'object') {
    return expanded.items.flatMap((item, index) => check(item, schema['items'] as Json, context, `${pointer}/${index}`, depth + 1));
  }
  const actual = typeOfNode(node, context.typeOf);
  const wanted = typeFromSchema(schema, context.root);
  if (couldBe(actual, wanted)) return [];
  return [{ pointer, message: `this is ${nameOf(actual)}, and ${nameOf(wanted)} is wanted`, suggestion: undefined, part: 'value' }];
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mayBeObject(schema: JsonObject): boolean {
  return schema['type'] === 'object' || (schema['type'] === undefined && isObject(schema['properties'] ?? null));
}

/** A constant object, member by member, so that a fault names the member. */
function expand(node: TemplateNode): TemplateNode {
  if (node.kind !== 'constant' || !isObject(node.value)) return node;
  return { kind: 'object', entries: Object.entries(node.value).map(([key, value]) => [key, { kind: 'constant', value }]) };
}

function nearest(outcomes: ConformanceFault[][]): ConformanceFault[] {
  return outcomes.toSorted((a, b) => a.length - b.length)[0] ?? [];
}

/** Schemas with their definitions at hand, made once for each schema. */
const standalone = new WeakMap<object, JsonObject>();

function withDefinitions(schema: JsonObject, root: Json): JsonObject {
  if (!isObject(root) || root === schema || !isObject(root['$defs'] ?? null)) return schema;
  const known = standalone.get(schema);
  if (known !== undefined) return known;
  const complete = { ...schema, $defs: root['$defs'] as Json };
  standalone.set(schema, complete);
  return complete;
}

function checkConstant(value: Json, schema: JsonObject, context: Context, pointer: string): ConformanceFault[] {
  return validateJson(withDefinitions(schema, context.root), value).map((fault) => ({
    pointer: `${pointer}${fault.pointer}`,
    message: fault.message,
    suggestion: undefined,
    part: 'value',
  }));
}

function checkObject(entries: [string, TemplateNode][], schema: JsonObject, context: Context, pointer: string, depth: number): ConformanceFault[] {
  const properties = isObject(schema['properties'] ?? null) ? (schema['properties'] as JsonObject) : {};
  const known = Object.keys(properties);
  const additional = schema['additionalProperties'];
  const closed =
    additional === false || (additional === undefined && known.length > 0 && schema['patternProperties'] === undefined && schema['allOf'] === undefined);
  const faults: ConformanceFault[] = [];
  for (const [key, member] of entries) {
    const memberPointer = `${pointer}/${escapePointer(key)}`;
    const memberSchema = Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (memberSchema !== undefined) faults.push(...check(member, memberSchema, context, memberPointer, depth + 1));
    else if (closed)
      faults.push({
        pointer: memberPointer,
        message: `there is no field "${key}" here`,
        suggestion: didYouMean(key, known) ?? `known: ${known.join(', ')}`,
        part: 'key',
      });
    else if (isObject(additional ?? null)) faults.push(...check(member, additional as Json, context, memberPointer, depth + 1));
  }
  const given = new Set(entries.map(([key]) => key));
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  for (const name of required) {
    if (typeof name === 'string' && !given.has(name)) faults.push({ pointer, message: `the field "${name}" is missing`, suggestion: undefined, part: 'value' });
  }
  return faults;
}
