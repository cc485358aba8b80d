import { z } from 'zod';
import { problemSchema } from '#schemas/problem.ts';
import { mediaTypes } from './body.ts';
import type { BodyFormat, Route } from './route.ts';

/** OpenAPI 3.1 of a route table; its schemas are JSON Schema 2020-12, made from the same zod schemas that requests are held against. */
export function describeApi(routes: readonly Route[], about: { version: string; publicUrl: string }): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method] = describeRoute(route);
  return {
    openapi: '3.1.0',
    info: { title: 'kOS', version: about.version, description: 'Start, watch, approve and stop durable runs of agent plans.' },
    servers: [{ url: about.publicUrl }],
    security: [{ key: [] }],
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'A kOS key, as in cli.json of KOS_HOME.' } },
      schemas: { Problem: schemaOf(problemSchema, 'output') },
    },
    paths,
  };
}

function describeRoute(route: Route): object {
  const permission = 'public' in route.access ? null : route.access.permission;
  return {
    summary: route.summary,
    operationId: operationId(route),
    ...(permission === null ? { security: [] } : { 'x-permission': permission }),
    parameters: [...parametersOf(route.params, 'path'), ...parametersOf(route.query, 'query'), ...headersOf(route)],
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: Object.fromEntries(route.bodyFormats.map((format) => [mediaTypes[format], { schema: bodySchema(route, format) }])),
          },
        }),
    responses: {
      ...Object.fromEntries(Object.entries(route.responses).map(([status, answer]) => [status, describeAnswer(Number(status), answer)])),
      default: problemAnswer,
    },
  };
}

const problemAnswer = { description: 'A problem (RFC 9457)', content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } };

function bodySchema(route: Route, format: BodyFormat): object {
  return format !== 'yaml' && route.body !== undefined ? schemaOf(route.body, 'input') : { type: 'string' };
}

function describeAnswer(status: number, answer: Route['responses'][number]): object {
  if (status >= 400) return problemAnswer;
  if (answer === null) return { description: 'Done' };
  if (!(answer instanceof z.ZodType)) return { description: 'Content', content: { [answer.mediaType]: {} } };
  return { description: 'OK', content: { 'application/json': { schema: schemaOf(answer, 'output') } } };
}

function parametersOf(schema: z.ZodType | undefined, place: 'path' | 'query'): object[] {
  if (schema === undefined) return [];
  const described = schemaOf(schema, 'input') as { properties?: Record<string, object>; required?: string[] };
  return Object.entries(described.properties ?? {}).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || (described.required ?? []).includes(name),
    schema: property,
  }));
}

const headersOf = (route: Route): object[] =>
  route.replay === undefined ? [] : [{ name: 'Idempotency-Key', in: 'header', required: true, schema: { type: 'string', maxLength: 255 } }];

/** `z.json()` and transforms have no exact JSON Schema: they are shown as anything. */
const schemaOf = (schema: z.ZodType, io: 'input' | 'output'): object => {
  const { $schema: _version, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any', reused: 'inline', cycles: 'ref' });
  return rest;
};

/** `getRunsIdSteps`: stable, and unique because method and path are. */
const operationId = ({ method, path }: Route): string =>
  method + path.replace('/v1', '').replaceAll(/[/{}]+([a-z]?)/gi, (_match, letter: string) => letter.toUpperCase());
