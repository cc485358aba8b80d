import { z } from 'zod';
import { jsonObjectSchema } from './json.ts';

/** What can be made of a run. `again`: the same run once more. `start`: one like it, written out. */
export const offerActions = ['again', 'start', 'schedule', 'trigger'] as const;
export const offerActionSchema = z.enum(offerActions);
export type OfferAction = z.infer<typeof offerActionSchema>;

/** Forms in which an offer can be copied. */
export const offerForms = ['kai', 'curl', 'typescript'] as const;
export type OfferForm = (typeof offerForms)[number];

export const runOfferSchema = z.object({
  action: offerActionSchema,
  text: z.string(),
  /** Whether who asks may do it. */
  allowed: z.boolean(),
  /** The request behind it, as a page can send it. */
  request: z.object({ method: z.literal('POST'), path: z.string(), body: jsonObjectSchema, needsIdempotencyKey: z.boolean() }),
  kai: z.string(),
  curl: z.string(),
  typescript: z.string(),
});
export type RunOffer = z.infer<typeof runOfferSchema>;

export const runOffersSchema = z.object({
  runId: z.string(),
  offers: z.array(runOfferSchema),
  /** Why some are missing; null: none is. */
  note: z.string().nullable(),
});
export type RunOffers = z.infer<typeof runOffersSchema>;
