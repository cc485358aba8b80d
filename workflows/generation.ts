import { workflowInfo } from '@temporalio/workflow';

const completionsPerGeneration = 250;
const completionsUntilNextTry = 50;
const drainMs = 30_000;
/** From this length on a generation waits its drain out, however long. */
const eventsAtMost = 8_000;

/** Decides when a generation stops starting work, and when it hands over: never over a running activity. */
export class GenerationClock {
  completions = 0;
  drainingSinceMs: number | null = null;
  private tryAt = completionsPerGeneration;

  get draining(): boolean {
    return this.drainingSinceMs !== null;
  }

  update(nowMs: number): void {
    if (this.drainingSinceMs === null) {
      const due = this.completions >= this.tryAt || (workflowInfo().continueAsNewSuggested && this.tryAt === completionsPerGeneration);
      if (due) this.drainingSinceMs = nowMs;
      return;
    }
    const gaveTime = nowMs - this.drainingSinceMs >= drainMs;
    if (gaveTime && workflowInfo().historyLength < eventsAtMost) {
      this.drainingSinceMs = null;
      this.tryAt = this.completions + completionsUntilNextTry;
    }
  }

  /** When to look again though nothing happened. */
  get wakeAtMs(): number | null {
    return this.drainingSinceMs === null ? null : this.drainingSinceMs + drainMs;
  }
}
