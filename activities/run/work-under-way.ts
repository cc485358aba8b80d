import { AttemptLost } from './failure.ts';

/** How long work, or what came of it, is kept for an attempt to come: Temporal schedules another one within seconds, if there is to be one, ms. */
const orphanedAtMostMs = 30_000;

interface Entry {
  result: Promise<unknown>;
  controller: AbortController;
  waiting: number;
  orphaned: NodeJS.Timeout | null;
}

/**
 * What this worker does outside right now, or has done and not yet recorded. An attempt of the activity may be lost although its worker lives: heartbeats were late, Temporal was
 * away, the machine slept. The next attempt then often comes to the same worker, and waits for the work that goes on instead of beginning it again
 * (or calling its effect uncertain).
 */
export class WorkUnderWay {
  private readonly entries = new Map<string, Entry>();

  has(key: string): boolean {
    return this.entries.has(key);
  }

  /** Joins the work under this key, or starts it. A lost attempt leaves it running for the next one; anything else that aborts `signal` ends it. */
  async join<Result>(key: string, signal: AbortSignal, start: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const entry = this.entries.get(key) ?? this.begin(key, start);
    entry.waiting += 1;
    if (entry.orphaned !== null) clearTimeout(entry.orphaned);
    const lost = Promise.withResolvers<never>();
    const stop = (): void => {
      if (signal.reason instanceof AttemptLost && signal.reason.mayBeJoined) lost.reject(signal.reason);
      else entry.controller.abort(signal.reason);
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    try {
      return await Promise.race([entry.result as Promise<Result>, lost.promise]);
    } finally {
      signal.removeEventListener('abort', stop);
      entry.waiting -= 1;
      if (entry.waiting === 0 && this.entries.get(key) === entry) this.orphan(key, entry);
    }
  }

  private begin<Result>(key: string, start: (signal: AbortSignal) => Promise<Result>): Entry {
    const controller = new AbortController();
    const result = start(controller.signal);
    const entry: Entry = { result, controller, waiting: 0, orphaned: null };
    this.entries.set(key, entry);
    // What fails here (and is no failure of the step) has no outcome to keep. Whoever joined hears of it.
    result.catch(() => this.forget(key));
    return entry;
  }

  /** Its outcome is on record. */
  forget(key: string): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    if (entry.orphaned !== null) clearTimeout(entry.orphaned);
    this.entries.delete(key);
  }

  private orphan(key: string, entry: Entry): void {
    entry.orphaned = setTimeout(() => {
      this.forget(key);
      entry.controller.abort(new AttemptLost('nobody asked for it any more', false));
    }, orphanedAtMostMs);
    entry.orphaned.unref();
  }
}
