/** `run_…/look`: the run and step whose output was reused, as events and steps name it; null: the step did its own work. */
export function sourceOfReuse(reusedFrom: unknown): string | null {
  if (typeof reusedFrom !== 'object' || reusedFrom === null || !('runId' in reusedFrom) || !('stepPath' in reusedFrom)) return null;
  const { runId, stepPath } = reusedFrom;
  return typeof runId === 'string' && typeof stepPath === 'string' ? `${runId}/${stepPath}` : null;
}

export function describeReuse(reusedFrom: unknown): string | null {
  const source = sourceOfReuse(reusedFrom);
  return source === null ? null : `reused from ${source}`;
}
