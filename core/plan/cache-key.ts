import { KosError } from '#core/errors.ts';
import type { CacheRule } from '#schemas/plan.ts';
import type { Json } from '#schemas/json.ts';
import { digestOf } from './load.ts';

/** What does the work, in the version it has now. */
export type Performer = { tool: string; version: number } | { model: string } | { transform: Json };

export interface Reusable {
  /** The plan whose runs may share it; another plan's only with the scope `workspace`. */
  plan: string;
  scope: CacheRule['scope'];
  by: Performer;
  /** Of a transform what its expressions read, of all others their input: secrets are handles in it. */
  input: Json;
}

/** Raised when what stands below changes its meaning: no output that was kept before is found then. */
const form = 1;

/** A digest of all that an output hangs on. Null: what it hangs on has no canonical form (halves of surrogate pairs), so that nothing is kept. */
export function cacheKeyOf({ plan, scope, by, input }: Reusable): string | null {
  try {
    return digestOf({ form, plan: scope === 'workspace' ? null : plan, by: { ...by }, input });
  } catch (error) {
    if (error instanceof KosError && error.code === 'not_canonical') return null;
    throw error;
  }
}
