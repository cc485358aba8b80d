import type { Via } from './permissions.ts';

/** How a route counts. `hook`: per trigger, once its sender is known. `stream`: as a read, and by how many are open at once. `health` is asked by machines all the time and is never limited. */
export const rateClasses = ['read', 'change', 'stream', 'sign-in', 'public', 'hook', 'health'] as const;
export type RateClass = (typeof rateClasses)[number];

/** So many in a window, refilled steadily; `burst` at once where that is more. */
export interface RateLimit {
  /** Names the bucket, and the policy in the `RateLimit` headers. */
  name: string;
  limit: number;
  windowSeconds: number;
  burst?: number;
}

export interface RateTable {
  /** Per key or token. */
  read: readonly RateLimit[];
  change: readonly RateLimit[];
  /** The owner's local key and sessions: a person, whom normal use never brings near it. */
  person: readonly RateLimit[];
  /** Per address. */
  signIn: readonly RateLimit[];
  public: readonly RateLimit[];
  /** Per trigger. */
  hook: readonly RateLimit[];
  failedCredentials: readonly RateLimit[];
  /** Open at once, per credential. */
  streamsOfProgram: number;
  streamsOfPerson: number;
}

export const usualRates: RateTable = {
  read: [{ name: 'read', limit: 600, windowSeconds: 60 }],
  change: [
    { name: 'change', limit: 100, windowSeconds: 60 },
    { name: 'change-hour', limit: 1_000, windowSeconds: 3_600 },
  ],
  person: [{ name: 'person', limit: 100, windowSeconds: 1, burst: 1_000 }],
  signIn: [{ name: 'sign-in', limit: 10, windowSeconds: 60 }],
  public: [{ name: 'public', limit: 600, windowSeconds: 60 }],
  hook: [{ name: 'hook', limit: 600, windowSeconds: 60 }],
  failedCredentials: [{ name: 'failed', limit: 300, windowSeconds: 60 }],
  streamsOfProgram: 50,
  streamsOfPerson: 2_000,
};

/** What holds for a credential at a route of that class. */
export function limitsOf(table: RateTable, via: Via, rateClass: RateClass): readonly RateLimit[] {
  if (via === 'owner_key' || via === 'session') return table.person;
  return rateClass === 'change' ? table.change : table.read;
}

/** What holds for an address at a public route of that class. */
export function limitsOfAddress(table: RateTable, rateClass: RateClass): readonly RateLimit[] {
  if (rateClass === 'health' || rateClass === 'hook') return [];
  return rateClass === 'sign-in' ? table.signIn : table.public;
}

export const streamsAllowed = (table: RateTable, via: Via): number =>
  via === 'owner_key' || via === 'session' ? table.streamsOfPerson : table.streamsOfProgram;

export const capacityOf = ({ limit, burst }: RateLimit): number => Math.max(limit, burst ?? 0);

/** Drawn at once: a tenth, so that no request writes by itself, and of small limits one, so that they are exact. */
export const batchOf = ({ limit }: RateLimit): number => (limit < 20 ? 1 : Math.floor(limit / 10));
