import type { Json } from '#schemas/json.ts';

/** What `steps.<id>` is, once the step has ended. */
export interface StepResult {
  status: string;
  output: Json;
  error: Json;
}

/** Everything an expression may see. Steps that no expression of the template mentions need not be there. */
export interface Scope {
  input: Json;
  steps: { [stepId: string]: StepResult };
  run: { id: string; startedAt: string };
  /** Only in a step with forEach. */
  item?: Json;
  /** Position of `item`, from 0. */
  index?: number;
  /** Only in a step with repeat: the number of the round, from 0. */
  iteration?: number;
  /** Only in a step with repeat: the output of the round before; null in the first. */
  last?: Json;
  /** Only in `until` and `while` of a repeat (the output of the round that has just ended) and in `undo` (what its step put out). */
  output?: Json;
  /** Only in `until` of a wait with a check: `{ output }`. */
  check?: Json;
  /** Only in `onError`: why the step failed. */
  error?: Json;
  /** Only in a rule that approves: the input of the call that is to be approved. */
  arguments?: Json;
  /** Only in a trigger: what was delivered. */
  body?: Json;
  headers?: Json;
}

export const rootNames = ['input', 'steps', 'item', 'index', 'run', 'error', 'arguments', 'iteration', 'last', 'output', 'check', 'body', 'headers'] as const;
export type RootName = (typeof rootNames)[number];

export function isRootName(name: string): name is RootName {
  return (rootNames as readonly string[]).includes(name);
}
