import type { Logger } from 'pino';
import type { Principal } from '#core/policy/principal.ts';
import type { Authenticator } from './authenticate.ts';

/** Sees to it that what stays open for somebody (a stream, a long wait) ends soon after their right to it does. */
export interface Presence {
  /** `lost` is called once, when the credential is good no longer or has lost what it came in with. Returns how to stop watching. */
  watch(principal: Principal, isStillAllowed: (principal: Principal) => boolean, lost: () => void): () => void;
  watching(): number;
  close(): void;
}

/** Twice within the 5 s that a revocation may take. */
const checkEveryMs = 2_000;

interface Watcher {
  principal: Principal;
  isStillAllowed: (principal: Principal) => boolean;
  lost: () => void;
}

export function watchPresence(authenticator: Pick<Authenticator, 'again'>, log: Logger): Presence {
  const watchers = new Set<Watcher>();
  let checking = false;

  const check = async (): Promise<void> => {
    // One look-up for each credential, however many streams it has open.
    for (const [, group] of Map.groupBy(watchers, nameOf)) {
      const [{ principal } = { principal: undefined }] = group;
      if (principal === undefined) continue;
      const now = await authenticator.again(principal);
      for (const watcher of group) {
        if (now !== null && watcher.isStillAllowed(now)) continue;
        if (watchers.delete(watcher)) watcher.lost();
      }
    }
  };

  const timer = setInterval(() => {
    if (checking || watchers.size === 0) return;
    checking = true;
    check()
      .catch((error: unknown) => log.warn({ error }, 'whether open streams are still allowed could not be checked; trying again'))
      .finally(() => {
        checking = false;
      });
  }, checkEveryMs);
  timer.unref();

  return {
    watch(principal, isStillAllowed, lost) {
      const watcher = { principal, isStillAllowed, lost };
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
    watching: () => watchers.size,
    close: () => clearInterval(timer),
  };
}

const nameOf = ({ principal }: Watcher): string => JSON.stringify([principal.credentialId, principal.workspaceId, principal.scopes]);
