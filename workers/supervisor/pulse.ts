/** Looks this often whether a part has given a sign of life since the last look. A machine that slept has looked no more often than it lived. */
const lookEveryMs = 2_000;
const missesAtMost = 10;
export const silentAfterMs = lookEveryMs * missesAtMost;

export interface Pulse {
  beat(): void;
  stop(): void;
}

/** Tells once when a part that has shown signs of life shows none for 20 s: it lives, and does nothing. Silent until the first sign. */
export function watchPulse(onSilent: () => void, everyMs = lookEveryMs): Pulse {
  let misses: number | null = null;
  const timer = setInterval(() => {
    if (misses === null) return;
    misses += 1;
    if (misses < missesAtMost) return;
    clearInterval(timer);
    onSilent();
  }, everyMs).unref();
  return {
    beat: () => {
      misses = 0;
    },
    stop: () => clearInterval(timer),
  };
}

/**
 * The same of a part that must be asked, which has just answered: once at each look. An answer counts however late it comes, so a part that is
 * slow is not silent.
 */
export function watchAnswers(ask: () => Promise<boolean>, onSilent: () => void, everyMs = lookEveryMs): Pick<Pulse, 'stop'> {
  const pulse = watchPulse(() => {
    clearInterval(timer);
    onSilent();
  }, everyMs);
  const timer = setInterval(() => {
    void ask().then((answered) => {
      if (answered) pulse.beat();
    });
  }, everyMs).unref();
  pulse.beat();
  return {
    stop: () => {
      clearInterval(timer);
      pulse.stop();
    },
  };
}
