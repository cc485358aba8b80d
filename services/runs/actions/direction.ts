import { KosError } from '#core/errors.ts';
import { undoPath } from '#core/plan/step-path.ts';
import type { RunChange } from './locked-run.ts';

interface Direction {
  /** The run undoes what its steps did, or has undone it. */
  undoes: boolean;
  /** The path is that of an undo. */
  undo: boolean;
  /** What is said of an uncertain effect; null: something else is done. */
  resolution: 'happened' | 'did_not' | 'retry' | null;
}

/**
 * A run that goes back does not go forward: of its steps it can only be said whether they had their effect, so that this is undone, too. Throws KosError
 * `run_compensating`, `run_not_compensating` (409).
 */
export function assertDirection({ runId, path }: RunChange & { path: string }, { undoes, undo, resolution }: Direction): void {
  const conflict = (code: string, message: string, fix: string): KosError => new KosError({ code, message, fix, status: 409 });
  if (undo && !undoes)
    throw conflict('run_not_compensating', `The run ${runId} does not undo anything: there is no ${path} yet.`, `See where it stands: kai run get ${runId}`);
  if (undo || !undoes || resolution === 'happened' || resolution === 'did_not') return;
  if (resolution === 'retry') {
    throw conflict(
      'run_compensating',
      `The run ${runId} undoes what it did: ${path} is not tried again.`,
      `Look outside, then say happened or did-not: kai run resolve ${runId} '${path}' happened|did-not --reason R`,
    );
  }
  throw conflict(
    'run_compensating',
    `The run ${runId} undoes what it did, or has undone it: it does not go on from ${path}.`,
    `Say it of the undo, '${undoPath(path)}', or begin anew: kai run replay ${runId}`,
  );
}
