import { z } from 'zod';
import {
  createDocument,
  type ZodOpenApiContentObject,
  type ZodOpenApiMediaTypeObject,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponseObject,
} from 'zod-openapi';
import { problemSchema } from '#schemas/problem.ts';
import { mediaTypes } from './body.ts';
import type { BodyFormat, MediaAnswer, Route } from './route.ts';

const problem = problemSchema.meta({ id: 'Problem' });

/** OpenAPI 3.1 of a route table, made from the same zod schemas that requests are held against. */
export function describeApi(routes: readonly Route[], about: { version: string; publicUrl: string }): object {
  const paths: ZodOpenApiPathsObject = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method] = describeRoute(route);
  return createDocument(
    {
      openapi: '3.1.0',
      info: { title: 'kOS', version: about.version, description: 'Start, watch, approve and stop durable runs of agent plans.' },
      servers: [{ url: about.publicUrl }],
      security: [{ bearer: [] }, { session: [] }],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'A kOS key, as in cli.json of KOS_HOME, or an access token.' },
          session: {
            type: 'apiKey',
            in: 'cookie',
            name: 'kos_session',
            description: 'A session; the real name ends in the installation’s own. Changes need JSON and an Origin equal to the public address.',
          },
        },
      },
      paths,
    },
    // Arbitrary JSON and what a transform makes of a text have no exact JSON Schema: they are shown as anything.
    { allowEmptySchema: { custom: true, transform: true, unknown: true, any: true } },
  );
}

const problemAnswer: ZodOpenApiResponseObject = { description: 'A problem (RFC 9457)', content: { 'application/problem+json': { schema: problem } } };

function describeRoute(route: Route): ZodOpenApiOperationObject {
  const permission = 'public' in route.access ? null : route.access.permission;
  return {
    summary: route.summary,
    operationId: operationId(route),
    'x-rate-class': route.rate,
    ...(permission === null ? { security: [] } : { 'x-permission': permission }),
    requestParams: {
      ...(isObject(route.params) ? { path: route.params } : {}),
      ...(isObject(route.query) ? { query: route.query } : {}),
      ...(route.replay === undefined ? {} : { header: z.object({ 'Idempotency-Key': z.string().max(255) }) }),
    },
    ...(route.body === undefined ? {} : { requestBody: { required: true, content: bodyContent(route, route.body) } }),
    responses: {
      ...Object.fromEntries(Object.entries(route.responses).map(([status, answer]) => [status, describeAnswer(route, Number(status), answer)])),
      default: problemAnswer,
    },
  };
}

const isObject = (schema: z.ZodType | undefined): schema is z.ZodObject => schema instanceof z.ZodObject;

function bodyContent(route: Route, body: z.ZodType): ZodOpenApiContentObject {
  const contentOf = (format: BodyFormat): ZodOpenApiMediaTypeObject => {
    if (format === 'yaml' || format === 'raw') return { schema: { type: 'string' } };
    return { schema: body, ...(route.examples.body === undefined ? {} : { example: route.examples.body }) };
  };
  return Object.fromEntries(route.bodyFormats.map((format) => [mediaTypes[format], contentOf(format)]));
}

function describeAnswer(route: Route, status: number, answer: Route['responses'][number]): ZodOpenApiResponseObject {
  if (status >= 400) return isInWordsOfItsOwn(answer) ? { ...problemAnswer, content: { ...problemAnswer.content, [answer.mediaType]: {} } } : problemAnswer;
  if (answer === null) return { description: status === 303 ? 'Leads on' : 'Done' };
  if (!(answer instanceof z.ZodType)) return { description: 'Content', content: { [answer.mediaType]: {}, ...(answer.orAny === true ? { '*/*': {} } : {}) } };
  const example = route.examples.answers?.[status];
  return { description: 'OK', content: { 'application/json': { schema: answer, ...(example === undefined ? {} : { example }) } } };
}

/** A protocol has its own way to say what is wrong, besides the problems that every route may answer with. */
const isInWordsOfItsOwn = (answer: Route['responses'][number]): answer is MediaAnswer => answer !== null && !(answer instanceof z.ZodType);

/** `getRunsIdSteps`: stable, and unique because method and path are. */
export const operationId = ({ method, path }: Pick<Route, 'method' | 'path'>): string =>
  method + path.replace('/v1', '').replaceAll(/[/{}.]+([a-z]?)/gi, (_match, letter: string) => letter.toUpperCase());
