import { type JsonSchema, misfitsOf } from './schema-fit.ts';

interface Content {
  content?: Record<string, { schema?: JsonSchema }>;
}

interface Operation {
  parameters?: { name: string; in: string; required?: boolean; schema?: JsonSchema }[];
  requestBody?: Content;
  responses: Record<string, Content>;
  'x-permission'?: string;
}

/** As much of OpenAPI 3.1 as our own documents use. */
export interface ApiDocument {
  paths: Record<string, Record<string, Operation>>;
  components?: { schemas?: Record<string, JsonSchema> };
}

/** What a client of `released` could stumble over in `current`, one line each. Additions break nothing. */
export function breaksOf(released: ApiDocument, current: ApiDocument): string[] {
  return Object.entries(released.paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, before]) => {
      const name = `${method.toUpperCase()} ${path}`;
      const after = current.paths[path]?.[method];
      if (after === undefined) return [`${name} is gone`];
      return breaksOfOperation(before, after, released, current).map((fault) => `${name}: ${fault}`);
    }),
  );
}

function breaksOfOperation(before: Operation, after: Operation, released: ApiDocument, current: ApiDocument): string[] {
  return [
    ...(after['x-permission'] === before['x-permission']
      ? []
      : [`the permission is ${after['x-permission'] ?? 'none'}, was ${before['x-permission'] ?? 'none'}`]),
    ...breaksOfParameters(before, after, released, current),
    ...breaksOfBody(before, after, released, current),
    ...breaksOfAnswers(before, after, released, current),
  ];
}

/** Whatever was sent must still be taken. */
function breaksOfParameters(before: Operation, after: Operation, released: ApiDocument, current: ApiDocument): string[] {
  const known = new Map((before.parameters ?? []).map((parameter) => [`${parameter.in} ${parameter.name}`, parameter]));
  const now = new Map((after.parameters ?? []).map((parameter) => [`${parameter.in} ${parameter.name}`, parameter]));
  const gone = [...known.keys()].filter((key) => !now.has(key)).map((key) => `the parameter ${key} is gone`);
  const changed = [...now].flatMap(([key, parameter]) => {
    const earlier = known.get(key);
    if (parameter.required === true && earlier?.required !== true) return [`the parameter ${key} is required now`];
    if (earlier === undefined) return [];
    return fits(earlier.schema, released, parameter.schema, current, 'request').map((fault) => `the parameter ${key} ${fault}`);
  });
  return [...gone, ...changed];
}

function breaksOfBody(before: Operation, after: Operation, released: ApiDocument, current: ApiDocument): string[] {
  if (before.requestBody === undefined) return after.requestBody === undefined ? [] : bodyNowNeeded(after, current);
  return Object.entries(before.requestBody.content ?? {}).flatMap(([mediaType, { schema }]) => {
    const taken = after.requestBody?.content?.[mediaType];
    if (taken === undefined) return [`a body of ${mediaType} is not taken any more`];
    return fits(schema, released, taken.schema, current, 'request').map((fault) => `the body${fault.startsWith('/') ? '' : ' '}${fault}`);
  });
}

/** A body may come where none was, as long as an empty object will do. */
function bodyNowNeeded(after: Operation, current: ApiDocument): string[] {
  const empty: JsonSchema = { type: 'object', properties: {}, additionalProperties: false };
  const schemas = Object.values(after.requestBody?.content ?? {}).map(({ schema }) => schema);
  return schemas.some((schema) => fits(empty, current, schema, current, 'request').length === 0) ? [] : ['a body is needed now'];
}

/** Whatever was read must still be there, and be what it was. */
function breaksOfAnswers(before: Operation, after: Operation, released: ApiDocument, current: ApiDocument): string[] {
  return Object.entries(before.responses).flatMap(([status, answer]) => {
    const now = after.responses[status];
    if (now === undefined) return [`the answer ${status} is gone`];
    return Object.entries(answer.content ?? {}).flatMap(([mediaType, { schema }]) => {
      const given = now.content?.[mediaType];
      if (given === undefined) return [`the answer ${status} is no ${mediaType} any more`];
      return fits(given.schema, current, schema, released, 'answer').map((fault) => `the answer ${status}${fault.startsWith('/') ? '' : ' '}${fault}`);
    });
  });
}

const fits = (narrow: JsonSchema | undefined, narrowIn: ApiDocument, wide: JsonSchema | undefined, wideIn: ApiDocument, what: 'request' | 'answer'): string[] =>
  misfitsOf(narrow ?? {}, wide ?? {}, {
    narrow: narrowIn.components?.schemas ?? {},
    wide: wideIn.components?.schemas ?? {},
    // Readers must bear fields and words that they do not know yet.
    openEnded: what === 'answer',
  });
