import { z } from 'zod';

/** A plain JSON value: what plans, inputs and outputs are made of. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export const jsonSchema: z.ZodType<Json> = z.json();
export const jsonObjectSchema: z.ZodType<JsonObject> = z.record(z.string(), jsonSchema);

/** A record as plain JSON, without what is absent: JSON has no `undefined`. */
export const asJsonObject = (record: object): JsonObject => JSON.parse(JSON.stringify(record)) as JsonObject;
