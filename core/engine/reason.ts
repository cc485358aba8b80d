export type BlockKind =
  | 'engine'
  | 'concurrency'
  | 'worker'
  | 'timer'
  | 'approval'
  | 'signal'
  | 'run'
  | 'retry'
  | 'needs'
  | 'work'
  | 'items'
  | 'limit'
  | 'paused'
  | 'ending';

/** Why something does not go on, since when, what ends that, and the command that helps (null: none is needed). */
export interface Reason {
  /** Null: the run as a whole. */
  stepPath: string | null;
  status: string;
  blockedBy: { kind: BlockKind; ref: string | null; text: string };
  since: string | null;
  /** When it changes by itself; null: only by what `unblocks` says. */
  until: string | null;
  unblocks: string;
  command: string | null;
}
