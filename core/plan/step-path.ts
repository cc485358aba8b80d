/** Where a step stands in its run: `id`, `id[item]` of a `forEach`, `id#iteration` of a `repeat`, `id[item]#iteration` of both; its undo: that and `~undo`. */
export interface StepPath {
  id: string;
  item: number | null;
  iteration: number | null;
  /** It takes back what the step at the rest of the path did. */
  undo: boolean;
}

export function parseStepPath(path: string): StepPath {
  const [, id = path, item, iteration, undo] = /^(.*?)(?:\[(\d+)\])?(?:#(\d+))?(~undo)?$/s.exec(path) ?? [];
  return { id, item: numberOf(item), iteration: numberOf(iteration), undo: undo !== undefined };
}

const numberOf = (digits: string | undefined): number | null => (digits === undefined ? null : Number(digits));

export const itemPath = (id: string, item: number | null): string => (item === null ? id : `${id}[${item}]`);

export const roundPath = (path: string, iteration: number): string => `${path}#${iteration}`;

const undoMark = '~undo';

export const undoPath = (path: string): string => `${path}${undoMark}`;

/** The step that the undo at this path takes back. */
export const undoneBy = (path: string): string => (path.endsWith(undoMark) ? path.slice(0, -undoMark.length) : path);
