/** Names so that each comes after those that it calls. Where they call each other in a ring, which is refused elsewhere, the ring is cut somewhere. */
export function inCallOrder(plans: readonly { name: string; calls: readonly string[] }[]): string[] {
  const callsOf = new Map(plans.map(({ name, calls }) => [name, calls]));
  const ordered = new Set<string>();
  const visiting = new Set<string>();
  const visit = (name: string): void => {
    const calls = callsOf.get(name);
    if (calls === undefined || ordered.has(name) || visiting.has(name)) return;
    visiting.add(name);
    for (const call of calls) visit(call);
    ordered.add(name);
  };
  for (const { name } of plans) visit(name);
  return [...ordered];
}
