import type { Logger } from 'pino';
import type { DatabaseAddress } from '#services/database/address.ts';
import { openListeningPool, type SystemDatabase } from '#services/database/connect.ts';
import { readSequencerState } from './reader.ts';
import { eventChannel, parseNotice } from './notice.ts';

/** Tells who waits for events of a run or a workspace that there may be some. Readers then read by `seq`; what is told is never the event itself. */
export interface EventListener {
  /** Calls `wake` soon after events of the run or workspace with this id were numbered, and now and then without any. Returns how to stop. */
  watch(id: string, wake: () => void): () => void;
  /** Hears another channel over the same connection. `again`: the connection has come back, and what was told meanwhile was not heard. */
  hear(channel: string, ears: { told: (text: string) => void; again: () => void }): Promise<void>;
  /** How many are watching. */
  watching(): number;
  close(): Promise<void>;
}

/** Behind LISTEN, in case a notice is lost with its connection, in milliseconds. */
const pollEveryMs = 1_000;

/** `address`: the direct one; LISTEN does not work through a pooler in transaction mode. */
export async function startEventListener(options: { address: DatabaseAddress; system: SystemDatabase; log: Logger }): Promise<EventListener> {
  const { system, log } = options;
  const watchers = new Map<string, Set<() => void>>();
  const connection = openListeningPool(options.address, 'kos-listen');
  let lastSeq = -1;

  const wakeOf = (id: string): void => watchers.get(id)?.forEach((wake) => wake());
  const wakeAll = (): void => watchers.forEach((wakes) => wakes.forEach((wake) => wake()));

  const hear = (text: string): void => {
    const notice = parseNotice(text);
    if (notice === null) return;
    lastSeq = Math.max(lastSeq, notice.lastSeq);
    if (notice.runIds === null || notice.workspaceIds === null) wakeAll();
    else [...notice.runIds, ...notice.workspaceIds].forEach(wakeOf);
  };

  const poll = async (): Promise<void> => {
    if (watchers.size === 0) return;
    const state = await readSequencerState(system);
    if (state.lastSeq === lastSeq) return;
    lastSeq = state.lastSeq;
    wakeAll();
  };

  // Called again whenever the connection comes back: what was notified meanwhile is found by reading.
  await connection.listen(eventChannel, hear, wakeAll);
  const timer = setInterval(() => {
    poll().catch((error: unknown) => log.warn({ error }, 'events: the poll behind LISTEN failed; it goes on'));
  }, pollEveryMs);

  return {
    watch(id, wake) {
      const wakes = watchers.get(id) ?? new Set();
      watchers.set(id, wakes.add(wake));
      return () => {
        wakes.delete(wake);
        if (wakes.size === 0 && watchers.get(id) === wakes) watchers.delete(id);
      };
    },
    hear: async (channel, { told, again }) => {
      let isFirst = true;
      await connection.listen(channel, told, () => {
        if (!isFirst) again();
        isFirst = false;
      });
    },
    watching: () => [...watchers.values()].reduce((sum, wakes) => sum + wakes.size, 0),
    close: async () => {
      clearInterval(timer);
      await connection.end({ timeout: 1 });
    },
  };
}
