/** How many tries may be under way in one process: a receiver that does not answer must not hold what runs work with. */
export interface Gate {
  /** Null: there is no room now. Else how to leave. */
  enter(targetId: string): (() => void) | null;
}

export function createGate({ inAll, each }: { inAll: number; each: number }): Gate {
  const inside = new Map<string, number>();
  let all = 0;
  return {
    enter(targetId) {
      const here = inside.get(targetId) ?? 0;
      if (all >= inAll || here >= each) return null;
      all += 1;
      inside.set(targetId, here + 1);
      return () => {
        all -= 1;
        const left = (inside.get(targetId) ?? 1) - 1;
        if (left === 0) inside.delete(targetId);
        else inside.set(targetId, left);
      };
    },
  };
}
