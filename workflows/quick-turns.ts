/**
 * Local activities of one workflow, one at a time: of two that end in the other order than they began, the SDK (1.24) hears in the order of their beginning when it
 * replays, and what follows would not fit the history.
 */
export class QuickTurns {
  /** Settles, and never fails, when nobody has the turn any more; null: it is free. */
  private underWay: Promise<void> | null = null;

  get taken(): boolean {
    return this.underWay !== null;
  }

  /** When all those before it are through. */
  async take<Result>(work: () => Promise<Result>): Promise<Result> {
    while (this.underWay !== null) await this.underWay;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.underWay = promise;
    try {
      return await work();
    } finally {
      this.underWay = null;
      resolve();
    }
  }
}
