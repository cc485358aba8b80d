/** How far a run is with undoing what its steps did, before it ends otherwise than well. */
export type Undoing =
  /** To be gone on with. */
  | { status: 'due' }
  /** The activity that undoes is in flight. `again`: something was decided meanwhile that it may not have seen. */
  | { status: 'working'; again?: true }
  /** Until an instant, or (null) until something is decided. */
  | { status: 'resting'; atMs: number | null }
  | { status: 'done' };
