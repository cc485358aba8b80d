import { cacheKeyOf, type Performer } from '#core/plan/cache-key.ts';
import { readPart } from '#core/expression/cost.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { findKept, type KeptOutput } from '#services/cache/entries.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { endStep } from '#services/runs/ledger/record-outcome.ts';
import { standIn } from '#services/runs/ledger/stand-in.ts';
import type { RunActivityDependencies } from './dependencies.ts';
import type { Ending, Tried } from './end-step.ts';
import { labelsOf } from './labels.ts';
import { asObject, resolveInput } from './resolve-input.ts';
import type { StepWork } from './step-work.ts';

/** What a step works on, and the key under which its output is kept (null: it is not). */
export interface KeyedInput {
  key: string | null;
  input(): Promise<Json>;
}

/** The work of a transform is to evaluate its input: its key is made of what that reads. */
export async function keyedInput(
  dependencies: Pick<RunActivityDependencies, 'evaluator' | 'tools' | 'models'>,
  work: StepWork,
  scope: Scope,
  approved: { input: Json } | null,
): Promise<KeyedInput> {
  const { compiled } = work;
  if (approved === null && compiled.kind === 'transform') {
    return {
      key: keyOf(dependencies, work, () => readPart(compiled.input, scope) as unknown as Json),
      input: () => resolveInput(dependencies.evaluator, compiled, scope),
    };
  }
  const input = approved === null ? await resolveInput(dependencies.evaluator, compiled, scope) : approved.input;
  return { key: keyOf(dependencies, work, () => input), input: async () => input };
}

function keyOf(dependencies: Pick<RunActivityDependencies, 'tools' | 'models'>, { compiled, facts }: StepWork, input: () => Json): string | null {
  if (compiled.cache === null) return null;
  const by = performerOf(dependencies, compiled, input);
  if (by === null) return null;
  // The name it was called by says less than what it stands for.
  const given = 'model' in by ? { ...asObject(input()), model: null } : input();
  return cacheKeyOf({ plan: facts.planName, scope: compiled.cache.scope, by, input: given });
}

/** Null: an output of this one may not stand in for another call. The plan was refused when it was saved, but tools may have changed since. */
function performerOf(
  { tools, models }: Pick<RunActivityDependencies, 'tools' | 'models'>,
  compiled: StepWork['compiled'],
  input: () => Json,
): Performer | null {
  const { definition, gatedBy } = compiled;
  if ('tool' in definition) {
    const tool = tools.get(definition.tool);
    return tool === undefined || tool.effect === 'effectful' ? null : { tool: tool.name, version: tool.version };
  }
  if ('llm' in definition) {
    const { model } = asObject(input());
    return typeof model === 'string' ? { model: models.nameOf(model, definition.llm.schema !== undefined) } : null;
  }
  // What was approved is its output already.
  return 'transform' in definition && gatedBy === null ? { transform: definition.transform } : null;
}

/** What an earlier step has found out under this key, if this run may use it. */
export async function findReusable(sql: TransactionSql, { claim, facts, compiled, round }: StepWork, key: string | null): Promise<KeptOutput | null> {
  if (key === null || compiled.cache === null || !facts.useCache) return null;
  const kept = await findKept(sql, key, compiled.cache.ttlMs);
  // Whoever asks in rounds wants to know whether the answer has changed.
  return round !== undefined && kept?.runId === claim.runId ? null : kept;
}

/** What a reader must know of how the output came to be, wherever it shows. Usage is not among it: it was counted where it was used. */
const carriedMetadata = ['tool', 'toolVersion', 'provider', 'model', 'labels'] as const;

/** Ends a step with the output of another, without its work: nothing is called, and nothing costs anything. */
export async function endInReuse({ sql, work, step }: Ending, kept: KeptOutput): Promise<Tried> {
  const { claim, compiled } = work;
  const { runId, stepPath, at, outputId, output } = kept;
  const reusedFrom = { runId, stepPath, at: at.toISOString() };
  const carried: JsonObject = Object.fromEntries(carriedMetadata.flatMap((name) => (kept.metadata[name] === undefined ? [] : [[name, kept.metadata[name]]])));
  await endStep(
    sql,
    claim,
    step,
    { status: 'succeeded', output, error: null, costMicros: 0, metadata: { ...carried, reusedFrom } },
    { startedToo: !step.wasRunning, facts: { reusedFrom, ...labelsOf(carried) }, outputId },
  );
  if (compiled.fallbackOf !== null && work.round === undefined) await standIn(sql, { runId: claim.runId, failed: compiled.fallbackOf, fallback: step.path });
  await work.alsoAtEnd?.(sql);
  return outputId === null ? { outcome: 's', output } : { outcome: 's' };
}
