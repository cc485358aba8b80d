import { z } from 'zod';
import { idSchema, type IdKind } from '#schemas/ids.ts';
import { secretNameSchema } from '#schemas/secret.ts';

/** Parts that several routes' requests and answers are made of. */
export const pageQuery = {
  cursor: z.string().max(1_000).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
};

export const listOf = <Item extends z.ZodType>(item: Item) => z.object({ items: z.array(item), nextCursor: z.string().nullable() });

export const idParams = (kind: IdKind) => z.object({ id: idSchema(kind) });

export const planNameParams = z.object({
  name: z
    .string()
    .max(64)
    .regex(/^[a-z][a-z0-9-]*$/, 'is not a plan name'),
});

export const secretNameParams = z.object({ name: secretNameSchema });

/** `a,b` or the parameter repeated: any of these values; undefined: no filter. */
export const anyOf = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z
    .union([z.string(), z.array(z.string())])
    .transform((given) => [given].flat().flatMap((text) => text.split(',')))
    .pipe(z.array(z.enum(values)).min(1))
    .optional();

/** `name=value` or `name:value`, once or repeated: all of these labels. */
export const labelsQuery = z
  .union([z.string(), z.array(z.string())])
  .transform((given, context) => {
    const pairs = [given].flat().map((text) => /^([^=:]+)[=:](.*)$/.exec(text));
    if (pairs.every((pair) => pair !== null)) return Object.fromEntries(pairs.map((pair) => [pair[1] as string, pair[2] as string]));
    context.addIssue({ code: 'custom', message: 'must be name=value' });
    return z.NEVER;
  })
  .optional();
