import { HeldByPause } from '#services/runs/ledger/header.ts';

/** What begins something new answers, instead of beginning it, that the run is paused. */
export async function unlessHeld<Result>(work: () => Promise<Result>): Promise<Result | { heldAt: number }> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof HeldByPause) return { heldAt: error.controlVersion };
    throw error;
  }
}
