import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';

/** Work that goes on as long as its process does. */
export interface Duty {
  /** Look at once instead of at the next round. */
  nudge(): void;
  stop(): Promise<void>;
}

const firstRetryMs = 250;
const longestRetryMs = 2_000;

/**
 * Repeats a round until stopped; a round answers how long to rest, in ms: 0, there is more to do. A round that fails is said once and tried again with
 * back-off. `apartMs`: however often it is nudged, it rests so long.
 */
export function repeat(name: string, log: Logger, round: () => Promise<number>, apartMs = 0): Duty {
  const stopping = new AbortController();
  let news = new AbortController();
  let failures = 0;

  const pause = (durationMs: number, ...signals: AbortSignal[]): Promise<void> =>
    sleep(durationMs, undefined, { signal: AbortSignal.any([...signals, stopping.signal]) }).catch(() => undefined);

  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      news = new AbortController();
      const restMs = await round().then(
        (asked) => {
          if (failures > 0) log.info(`${name}: goes on`);
          failures = 0;
          return asked;
        },
        (error: unknown) => {
          if (failures === 0) log.warn({ error }, `${name}: failed; trying again`);
          failures += 1;
          return Math.min(firstRetryMs * 2 ** (failures - 1), longestRetryMs);
        },
      );
      const deafMs = Math.min(apartMs, restMs);
      if (deafMs > 0) await pause(deafMs);
      await pause(restMs - deafMs, news.signal);
    }
  };

  const running = loop();
  return {
    nudge: () => news.abort(),
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}
