import type { CompiledStep } from '#core/plan/compiled.ts';
import { itemPath, roundPath, undoPath } from '#core/plan/step-path.ts';
import type { StepPlace } from '#services/runs/ledger/take-step.ts';

/** Where a step, or one item of it, stands in its run. */
export const placeOf = (compiled: CompiledStep, item: number | null): StepPlace => ({
  path: itemPath(compiled.id, item),
  step: compiled.number,
  item,
  kind: compiled.kind,
});

/** Where a round of it does. */
export const placeOfRound = (place: StepPlace, iteration: number): StepPlace => ({
  path: roundPath(place.path, iteration),
  step: place.step,
  item: place.item,
  iteration,
  kind: place.kind,
});

/** Where its undo does. */
export const placeOfUndo = ({ path, step, item, iteration }: Pick<StepPlace, 'path' | 'step' | 'item' | 'iteration'>): StepPlace => ({
  path: undoPath(path),
  step,
  item,
  ...(iteration === undefined ? {} : { iteration }),
  undoes: path,
  kind: 'tool',
});
