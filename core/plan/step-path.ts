/** Where a step stands in its run: `id`, `id[item]` of a `forEach`, `id#iteration` of a `repeat`, `id[item]#iteration` of both. */
export interface StepPath {
  id: string;
  item: number | null;
  iteration: number | null;
}

export function parseStepPath(path: string): StepPath {
  const [, id = path, item, iteration] = /^(.*?)(?:\[(\d+)\])?(?:#(\d+))?$/s.exec(path) ?? [];
  return { id, item: numberOf(item), iteration: numberOf(iteration) };
}

const numberOf = (digits: string | undefined): number | null => (digits === undefined ? null : Number(digits));

export const itemPath = (id: string, item: number | null): string => (item === null ? id : `${id}[${item}]`);

export const roundPath = (path: string, iteration: number): string => `${path}#${iteration}`;
