import { z } from 'zod';
import type { Principal } from '#core/policy/principal.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { Database, Transaction } from '#services/database/connect.ts';
import {
  AlreadyTookEffect,
  digestBody,
  findIdempotent,
  type IdempotencyScope,
  type IdempotentEffect,
  parseIdempotencyKey,
  recordIdempotent,
} from '#services/idempotency/idempotency.ts';

const referenceSchema = z.object({ id: z.string() });
const idOf = ({ reference }: IdempotentEffect): string => referenceSchema.parse(reference).id;

/** A call that may come twice. `key` null: each is a call of its own. */
export interface KeyedCall {
  principal: Principal;
  tool: string;
  key: string | null;
  /** The call's arguments without the key. */
  given: JsonObject;
}

/** To be called in the transaction of the effect, with the id of what it makes. */
export type RecordId = (transaction: Transaction, id: string) => Promise<void>;

/** The id of what `act` makes, or of what it made when the same key came first. Throws KosError `idempotency_key_reused`. */
export async function oncePerKey(database: Database, call: KeyedCall, act: (record: RecordId) => Promise<string>): Promise<string> {
  const scope = scopeOf(call);
  if (scope === null) return act(async () => undefined);
  const before = await findIdempotent(database, scope, 'awaited');
  if (before !== null) return idOf(before);
  try {
    return await act((transaction, id) => recordIdempotent(transaction, scope, { status: 200, reference: { id } }));
  } catch (error) {
    if (error instanceof AlreadyTookEffect) return idOf(error.effect);
    throw error;
  }
}

function scopeOf({ principal, tool, key, given }: KeyedCall): IdempotencyScope | null {
  if (key === null) return null;
  const { workspaceId, principalId } = principal;
  return { workspaceId, principalId, route: `MCP ${tool}`, key: parseIdempotencyKey(key), bodyDigest: digestBody(given) };
}
