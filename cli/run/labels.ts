/** What a step's row or event says of how its output came to be. */
export const labelsIn = (labels: unknown): string[] => (Array.isArray(labels) ? labels.filter((label) => typeof label === 'string') : []);

export function describeLabels(labels: unknown): string | null {
  const found = labelsIn(labels);
  return found.length === 0 ? null : found.join(', ');
}
