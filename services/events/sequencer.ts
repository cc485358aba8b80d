import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { NoteSigner } from '#core/audit/signed-note.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import { writeCheckpoint } from './checkpoints.ts';
import { hasUnnumbered, numberBatch } from './number-batch.ts';

export interface Sequencer {
  /** Something was just committed here: look at once instead of at the next round. */
  nudge(): void;
  stop(): Promise<void>;
}

export interface SequencerOptions {
  system: SystemDatabase;
  /** Signs tree heads; its name is the log's origin. */
  signer: NoteSigner;
  log: Logger;
  /** Milliseconds since 1970. */
  now: () => number;
}

/** While there is work, and for a while after: batches of at most 20 ms. */
const busyPauseMs = 20;
const busyForMs = 2_000;
/** Postgres tells of commits only at a price for each of them (NOTIFY: 15 %), so an idle sequencer looks: a query of 0.1 ms, twelve times a second. */
const idlePauseMs = 80;
/** Another process numbers: this one stands by. */
const standbyPauseMs = 250;
const firstRetryMs = 250;
const longestRetryMs = 2_000;
const checkpointEveryMs = 10_000;

/** Gives events their numbers and audit entries their leaves until stopped, across losses of the database. Several processes may run one. */
export function startSequencer(options: SequencerOptions): Sequencer {
  const { system, signer, log, now } = options;
  const stopping = new AbortController();
  let news = new AbortController();
  let lastWorkAt = Number.NEGATIVE_INFINITY;
  let lastCheckpointAt = Number.NEGATIVE_INFINITY;
  let failures = 0;

  const pause = (durationMs: number): Promise<void> =>
    sleep(durationMs, undefined, { signal: AbortSignal.any([news.signal, stopping.signal]) }).catch(() => undefined);

  /** One round; returns how long to rest after it. */
  const round = async (): Promise<number> => {
    if (await hasUnnumbered(system)) {
      const batch = await numberBatch(system);
      if (batch.taken) return standbyPauseMs;
      lastWorkAt = performance.now();
    }
    if (now() - lastCheckpointAt >= checkpointEveryMs) {
      lastCheckpointAt = now();
      await writeCheckpoint(system, signer);
    }
    return performance.now() - lastWorkAt < busyForMs ? busyPauseMs : idlePauseMs;
  };

  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      news = new AbortController();
      const restMs = await round().then(
        (rest) => {
          if (failures > 0) log.info('sequencer: the database answers again');
          failures = 0;
          return rest;
        },
        (error: unknown) => {
          if (failures === 0) log.warn({ error }, 'sequencer: the database does not answer; trying again');
          failures += 1;
          return Math.min(firstRetryMs * 2 ** (failures - 1), longestRetryMs);
        },
      );
      await pause(restMs);
    }
  };

  const running = loop();
  return {
    nudge: () => {
      lastWorkAt = performance.now();
      news.abort();
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}
