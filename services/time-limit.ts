/** setTimeout takes no more: 24 days. */
const longestMs = 2 ** 31 - 1;

export interface TimeLimit {
  /** Aborted with the outer signal, by its reason; with a `TimeoutError` when the time has passed. */
  signal: AbortSignal;
  readonly passed: boolean;
}

/**
 * Does work within a time limit. Not `AbortSignal.timeout` with `AbortSignal.any`: their timer rings though the work is long over, makes an error for nobody, and until
 * then keeps everything that listened. A hundred steps a second with a minute each would hold six thousand of them.
 */
export async function withinTime<Result>(outer: AbortSignal, timeoutMs: number, work: (limit: TimeLimit) => Promise<Result>): Promise<Result> {
  const controller = new AbortController();
  let passed = false;
  const stop = (): void => controller.abort(outer.reason);
  const ring = (): void => {
    passed = !controller.signal.aborted;
    controller.abort(new DOMException(`It took longer than ${timeoutMs} ms.`, 'TimeoutError'));
  };
  if (outer.aborted) stop();
  else outer.addEventListener('abort', stop, { once: true });
  const timer = setTimeout(ring, Math.min(timeoutMs, longestMs));
  timer.unref();
  try {
    return await work({
      signal: controller.signal,
      get passed() {
        return passed;
      },
    });
  } finally {
    clearTimeout(timer);
    outer.removeEventListener('abort', stop);
  }
}
