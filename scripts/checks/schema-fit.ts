/** As much of JSON Schema 2020-12 as zod writes. */
export interface JsonSchema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  items?: JsonSchema | boolean;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
}

export interface FitOptions {
  /** Where `$ref`s of each side lead. */
  narrow: Record<string, JsonSchema>;
  wide: Record<string, JsonSchema>;
  /** Fields and enum values beyond the wide side's are welcome. */
  openEnded: boolean;
}

/**
 * Why some value of `narrow` may be none of `wide`; empty: each is. Each reason begins with where, as a pointer. It errs to the careful side: a change that
 * it cannot judge (another pattern) is a reason.
 */
export function misfitsOf(narrow: JsonSchema, wide: JsonSchema, options: FitOptions, at = '', seen: ReadonlySet<string> = new Set()): string[] {
  const key = `${narrow.$ref ?? ''} ${wide.$ref ?? ''}`;
  // Round a circle nothing new is found.
  if (narrow.$ref !== undefined && wide.$ref !== undefined && seen.has(key)) return [];
  const next = new Set([...seen, key]);
  const left = resolve(narrow, options.narrow);
  const right = resolve(wide, options.wide);
  const alternatives = left.anyOf ?? left.oneOf;
  if (alternatives !== undefined) return alternatives.flatMap((one) => misfitsOf(one, right, options, at, next));
  const allowed = right.anyOf ?? right.oneOf;
  if (allowed !== undefined) {
    const tries = allowed.map((one) => misfitsOf(left, one, options, at, next));
    return tries.some((misfits) => misfits.length === 0) ? [] : (tries.toSorted((one, other) => one.length - other.length)[0] ?? []);
  }
  const types = misfitOfTypes(left, right, at);
  if (types.length > 0) return types;
  return [
    ...misfitsOfValues(left, right, options, at),
    ...misfitsOfBounds(left, right, at),
    ...misfitsOfObject(left, right, options, at, next),
    ...misfitsOfItems(left, right, options, at, next),
  ];
}

function resolve(schema: JsonSchema, definitions: Record<string, JsonSchema>): JsonSchema {
  const name = schema.$ref?.split('/').at(-1);
  return name === undefined ? schema : (definitions[name] ?? {});
}

const typesOf = ({ type }: JsonSchema): string[] => (type === undefined ? [] : [type].flat());

function misfitOfTypes(left: JsonSchema, right: JsonSchema, at: string): string[] {
  const allowed = typesOf(right);
  if (allowed.length === 0) return [];
  const given = typesOf(left);
  const beyond = given.filter((type) => !allowed.includes(type) && !(type === 'integer' && allowed.includes('number')));
  if (given.length > 0 && beyond.length === 0) return [];
  return [`${at} is ${given.length === 0 ? 'anything' : given.join(' or ')} on one side, ${allowed.join(' or ')} on the other`];
}

function misfitsOfValues(left: JsonSchema, right: JsonSchema, { openEnded }: FitOptions, at: string): string[] {
  const allowed = right.const === undefined ? right.enum : [right.const];
  if (allowed === undefined) return [];
  const given = left.const === undefined ? left.enum : [left.const];
  if (given === undefined) return [`${at} is no longer one of ${allowed.join(', ')}`];
  const beyond = given.filter((value) => !allowed.includes(value));
  return beyond.length === 0 || openEnded ? [] : [`${at} knows ${beyond.join(', ')} on one side only`];
}

const upperBounds = ['maximum', 'maxLength', 'maxItems'] as const;
const lowerBounds = ['minimum', 'minLength', 'minItems'] as const;

function misfitsOfBounds(left: JsonSchema, right: JsonSchema, at: string): string[] {
  return [
    ...upperBounds
      .filter((bound) => (left[bound] ?? Number.POSITIVE_INFINITY) > (right[bound] ?? Number.POSITIVE_INFINITY))
      .map((bound) => `${at} ${bound} is tighter`),
    ...lowerBounds
      .filter((bound) => (left[bound] ?? Number.NEGATIVE_INFINITY) < (right[bound] ?? Number.NEGATIVE_INFINITY))
      .map((bound) => `${at} ${bound} is tighter`),
    ...(right.pattern === undefined || right.pattern === left.pattern ? [] : [`${at} has another pattern`]),
  ];
}

function misfitsOfObject(left: JsonSchema, right: JsonSchema, options: FitOptions, at: string, seen: ReadonlySet<string>): string[] {
  if (right.properties === undefined && right.required === undefined && right.additionalProperties === undefined) return [];
  const missing = (right.required ?? []).filter((name) => !(left.required ?? []).includes(name)).map((name) => `${at}/${name} is required on one side only`);
  const misfits = Object.entries(left.properties ?? {}).flatMap(([name, schema]) => {
    const wanted = right.properties?.[name] ?? right.additionalProperties;
    if (wanted === undefined || wanted === true) return [];
    if (wanted === false) return options.openEnded ? [] : [`${at}/${name} is not taken any more`];
    return misfitsOf(schema, wanted, options, `${at}/${name}`, seen);
  });
  const rest =
    typeof left.additionalProperties === 'object' && typeof right.additionalProperties === 'object'
      ? misfitsOf(left.additionalProperties, right.additionalProperties, options, `${at}/*`, seen)
      : [];
  return [...missing, ...misfits, ...rest];
}

function misfitsOfItems(left: JsonSchema, right: JsonSchema, options: FitOptions, at: string, seen: ReadonlySet<string>): string[] {
  if (typeof right.items !== 'object' || typesOf(left).every((type) => type !== 'array')) return [];
  return misfitsOf(typeof left.items === 'object' ? left.items : {}, right.items, options, `${at}/[]`, seen);
}
