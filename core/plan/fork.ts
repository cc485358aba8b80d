import { KosError } from '#core/errors.ts';
import { canonicalJson } from '#core/expression/values.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { StepStatus } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';

/** A plan version as a fork looks at it. */
export interface ForkedPlan {
  /** `name@version`. */
  reference: string;
  document: JsonObject;
}

export interface ForkRequest {
  runId: string;
  /** The version the run was made with. */
  source: ForkedPlan;
  /** The version to go on with. */
  target: ForkedPlan & { shape: PlanShape };
  /** Status of every step of the run that has begun, by its id; of a failure that its plan tolerates: `tolerated`. */
  statuses: ReadonlyMap<string, StepStatus | 'tolerated'>;
  /** The step from which on everything runs again. */
  from: string;
}

/** Ids of the target's steps, in its order. */
export interface Fork {
  carried: string[];
  again: string[];
  /** The target's number of each carried step. */
  numbers: Record<string, number>;
}

const carriedStatuses: readonly (StepStatus | 'tolerated')[] = ['succeeded', 'skipped', 'tolerated'];

/**
 * What a fork carries over, and what runs again: the step it begins at, what depends on that, what has not ended well, and approvals together with all that they
 * cover. Throws KosError `fork_step_unknown`, `fork_not_possible` (409) when something before that step cannot be carried.
 */
export function planFork(request: ForkRequest): Fork {
  const { from, target } = request;
  const ids = Object.keys(target.document['steps'] as JsonObject);
  const start = ids.indexOf(from);
  if (start === -1) throw unknownStep(request, ids);
  const obstacles = ids.map((id) => obstacleTo(request, id));
  const again = closure(
    target.shape,
    ids.map((_, step) => step === start || obstacles[step] !== null),
  );
  for (const step of needsOf(target.shape, start)) {
    // An approval of what runs again is asked for again, too.
    if (again[step] === true && !(target.shape.steps[step]?.kind === 'approval' && obstacles[step] === null)) throw notPossible(request, ids, step, obstacles);
  }
  const carried = ids.filter((_, step) => again[step] !== true);
  return { carried, again: ids.filter((_, step) => again[step] === true), numbers: Object.fromEntries(carried.map((id) => [id, ids.indexOf(id)])) };
}

/** Why a step's outcome cannot be carried over; null: it can. */
function obstacleTo({ source, target, statuses }: ForkRequest, id: string): string | null {
  const before = (source.document['steps'] as JsonObject)[id];
  const now = (target.document['steps'] as JsonObject)[id];
  if (before === undefined) return `${source.reference} has no such step`;
  if (canonicalJson(before) !== canonicalJson(now ?? null)) return `it differs between ${source.reference} and ${target.reference}`;
  const status = statuses.get(id);
  if (status === undefined) return 'it has not begun in the run';
  return carriedStatuses.includes(status) ? null : `it is ${status} in the run`;
}

/** What depends on something that runs again, and what an approval that is asked for again covers. */
function closure(shape: PlanShape, first: readonly boolean[]): boolean[] {
  const again = [...first];
  for (let changed = true; changed; ) {
    changed = false;
    shape.steps.forEach(({ needs, gate }, step) => {
      if (again[step] !== true && needs.some((need) => again[need] === true)) changed = again[step] = true;
      if (again[step] === true && gate !== undefined && again[gate] !== true) changed = again[gate] = true;
    });
  }
  return again;
}

/** Everything that must have ended before this step. */
function needsOf(shape: PlanShape, start: number): Set<number> {
  const found = new Set<number>();
  const pending = [...(shape.steps[start]?.needs ?? [])];
  for (let step = pending.pop(); step !== undefined; step = pending.pop()) {
    if (found.has(step)) continue;
    found.add(step);
    pending.push(...(shape.steps[step]?.needs ?? []));
  }
  return found;
}

const unknownStep = ({ from, target }: ForkRequest, ids: string[]): KosError =>
  new KosError({
    code: 'fork_step_unknown',
    message: `The plan ${target.reference} has no step "${from}". Its steps: ${ids.slice(0, 20).join(', ')}${ids.length > 20 ? ' …' : ''}.`,
    fix: 'Name one of them.',
    status: 409,
  });

function notPossible({ runId, from }: ForkRequest, ids: string[], step: number, obstacles: (string | null)[]): KosError {
  const id = ids[step] ?? String(step);
  const why = obstacles[step] ?? 'it needs a step that must run again';
  return new KosError({
    code: 'fork_not_possible',
    message: `The run ${runId} cannot be forked from ${from}: ${id}, which that needs, cannot be carried over, for ${why}.`,
    fix: `Fork from ${id} or earlier: kai run fork ${runId} --from ${id}`,
    status: 409,
  });
}
