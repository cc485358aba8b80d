import type { CompiledStep } from '#core/plan/compiled.ts';
import type { StepPlace } from '#services/runs/ledger/take-step.ts';

/** Where a step, or one item of it, stands in its run. */
export const placeOf = (compiled: CompiledStep, item: number | null): StepPlace => ({
  path: item === null ? compiled.id : `${compiled.id}[${item}]`,
  step: compiled.number,
  item,
  kind: compiled.kind,
});
