import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';

export interface OpenLoop {
  perSecond: number;
  seconds: number;
  /** One request, to the end of its answer. `index` counts from 0. */
  send: (index: number) => Promise<unknown>;
}

/** Timers are late by as much; the rest is waited for turn by turn. */
const timerGrainMs = 1.5;

/**
 * Requests sent by the clock: each at its moment, whether or not those before it have been answered, as users do who do not know of each other. Answers the
 * latencies (ms), each counted from the moment at which its request was due, so that what waits behind a slow one is counted, too. Fails when a request did.
 * (Load tools from npm send as many as are answered: autocannon keeps a rate by waiting for its connections.)
 */
export async function openLoop({ perSecond, seconds, send }: OpenLoop): Promise<number[]> {
  const gapMs = 1_000 / perSecond;
  const firstAt = performance.now() + gapMs;
  const requests: Promise<number | Error>[] = [];
  for (let index = 0; index < perSecond * seconds; index += 1) {
    const dueAt = firstAt + index * gapMs;
    await until(dueAt);
    requests.push(
      send(index).then(
        () => performance.now() - dueAt,
        (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
      ),
    );
  }
  const answered = await Promise.all(requests);
  const failed = answered.filter((outcome) => outcome instanceof Error);
  if (failed.length > 0) throw new Error(`${failed.length} of ${answered.length} requests failed.`, { cause: failed[0] });
  return answered as number[];
}

async function until(instant: number): Promise<void> {
  for (let leftMs = instant - performance.now(); leftMs > 0; leftMs = instant - performance.now()) {
    if (leftMs > timerGrainMs) await sleep(leftMs - timerGrainMs);
    else await turn();
  }
}
