import { CancellationScope, sleep } from '@temporalio/workflow';

/** One reminder at a time: a new timer is made only when it must ring earlier, so that waiting costs few events. */
export class Alarm {
  private atMs: number | null = null;
  private scope: CancellationScope | null = null;
  private readonly ring: () => void;
  /** Rings whatever is cancelled around it. */
  private readonly shield = new CancellationScope({ cancellable: false });

  constructor(ring: () => void) {
    this.ring = ring;
  }

  set(wakeAtMs: number | null): void {
    if (wakeAtMs === null || (this.atMs !== null && this.atMs <= wakeAtMs)) return;
    this.cancel();
    this.atMs = wakeAtMs;
    const scope = new CancellationScope({ cancellable: true, parent: this.shield });
    this.scope = scope;
    void scope
      .run(() => sleep(Math.max(1, wakeAtMs - Date.now())))
      .then(
        () => {
          this.atMs = null;
          this.ring();
        },
        () => undefined, // Replaced by an earlier one, or no longer needed: nothing to ring for.
      );
  }

  cancel(): void {
    this.scope?.cancel();
    this.scope = null;
    this.atMs = null;
  }
}
