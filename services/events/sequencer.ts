import type { Logger } from 'pino';
import type { NoteSigner } from '#core/audit/signed-note.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import { type Duty, repeat } from '#services/duties/repeat.ts';
import { writeCheckpoint } from './checkpoints.ts';
import { hasUnnumbered, numberBatch } from './number-batch.ts';

export interface SequencerOptions {
  system: SystemDatabase;
  /** Signs tree heads; its name is the log's origin. */
  signer: NoteSigner;
  log: Logger;
  /** Somebody waits for events: they are to be told within 100 ms of the commit; the first one, for which the pace was still the slow one, within 200 ms. */
  isWatched: () => boolean;
  /** Milliseconds since 1970. */
  now: () => number;
}

/**
 * While there is work, and for a while after. A batch is a commit, and its flush to the disk stands in the way of those that runs wait for: unless somebody
 * watches, ten in a second are enough.
 */
const busyPauseMs = { watched: 20, unwatched: 100 };
const busyForMs = 2_000;
/** Postgres tells of commits only at a price for each of them (NOTIFY: 15 %), so an idle sequencer looks: a query of 0.1 ms, more often while somebody watches. */
const idlePauseMs = { watched: 50, unwatched: 200 };
/** Another process numbers: this one stands by. */
const standbyPauseMs = 250;
const checkpointEveryMs = 10_000;

/** Gives events their numbers and audit entries their leaves until stopped, across losses of the database. Several processes may run one. */
export function startSequencer(options: SequencerOptions): Duty {
  const { system, signer, log, isWatched, now } = options;
  let lastWorkAt = Number.NEGATIVE_INFINITY;
  let lastCheckpointAt = Number.NEGATIVE_INFINITY;

  const duty = repeat('sequencer', log, async () => {
    if (await hasUnnumbered(system)) {
      const batch = await numberBatch(system);
      if (batch.taken) return standbyPauseMs;
      lastWorkAt = performance.now();
      // After an outage much may wait: no pause until all of it has its number.
      if (batch.full) return 0;
    }
    if (now() - lastCheckpointAt >= checkpointEveryMs) {
      lastCheckpointAt = now();
      await writeCheckpoint(system, signer);
    }
    const pauseMs = performance.now() - lastWorkAt < busyForMs ? busyPauseMs : idlePauseMs;
    return isWatched() ? pauseMs.watched : pauseMs.unwatched;
  });

  return {
    nudge: () => {
      lastWorkAt = performance.now();
      duty.nudge();
    },
    stop: duty.stop,
  };
}
