import { z } from 'zod';
import { publishedPlanSchema } from '#core/plan/published-schema.ts';
import { defineRoute, json, type Route } from '../route.ts';

/** Where editors find the schema that saved plans name in their first line. Public: an editor has no key, and the schema tells nothing of anybody. */
export const planSchemaPath = '/.well-known/kos/plan.schema.json';

export const planSchemaRoutes = (): Route[] => {
  const schema = publishedPlanSchema();
  return [
    defineRoute({
      method: 'get',
      path: planSchemaPath,
      summary: 'The JSON Schema of the plan language, for editors',
      access: { public: true },
      responses: { 200: z.looseObject({}) },
      handler: async () => json(schema),
    }),
  ];
};
