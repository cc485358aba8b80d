import type { Scope, StepResult } from '#core/expression/scope.ts';
import type { Json } from '#schemas/json.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import type { RunFacts } from './header.ts';

/** Loads the results of the steps that expressions mention, and no others. A step that has not ended is seen as `pending`. */
export async function loadResults(sql: TransactionSql, runId: string, stepIds: readonly string[]): Promise<Scope['steps']> {
  const results: Record<string, StepResult> = {};
  if (stepIds.length === 0) return results;
  for (const id of stepIds) results[id] = { status: 'pending', output: null, error: null };
  const rows = await sql<{ path: string; status: string; output: Json; error: Json }[]>`
    select s.path, s.status, coalesce(o.value, s.output) as output, s.error from kos.steps s left join kos.outputs o on o.id = s.output_id
    where s.run_id = ${runId} and s.path in ${sql(stepIds)}`;
  for (const { path, status, output, error } of rows) results[path] = { status, output, error };
  return results;
}

/** What a step sees of the round that it is in. */
export interface SeenRound {
  iteration: number;
  /** The output of the round before; null: there was none. */
  last: Json;
}

export function makeScope(facts: RunFacts, startedAt: Date, steps: Scope['steps'], item: { value: Json; index: number } | null, round?: SeenRound): Scope {
  const scope: Scope = { input: facts.input, steps, run: { id: facts.runId, startedAt: startedAt.toISOString() } };
  if (item !== null) {
    scope.item = item.value;
    scope.index = item.index;
  }
  if (round !== undefined) {
    scope.iteration = round.iteration;
    scope.last = round.last;
  }
  return scope;
}
