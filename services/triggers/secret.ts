import { randomBytes } from 'node:crypto';
import { type FaultDetail, KosError } from '#core/errors.ts';
import type { SetTrigger } from '#schemas/trigger.ts';
import type { Sealing } from '#services/sealing/sealing.ts';
import type { TriggerRow } from './row.ts';

/** The seal holds for this trigger and purpose only: a row copied elsewhere does not open. */
const boundTo = (triggerId: string, what: 'secret' | 'content'): string => `trigger\n${triggerId}\n${what}`;

export const sealFor = (sealing: Sealing, triggerId: string, what: 'secret' | 'content', text: string): Buffer =>
  Buffer.from(sealing.seal(Buffer.from(text, 'utf8'), boundTo(triggerId, what)));

export const openFor = (sealing: Sealing, triggerId: string, what: 'secret' | 'content', sealed: Uint8Array): string =>
  Buffer.from(sealing.open(sealed, boundTo(triggerId, what))).toString('utf8');

/** Those that are good now, the newest first. */
export function liveSecrets(sealing: Sealing, row: Pick<TriggerRow, 'id' | 'secret' | 'previousSecret' | 'previousUntil'>): string[] {
  const live = [row.secret, row.previousUntil === null ? null : row.previousSecret];
  return live.flatMap((sealed) => (sealed === null ? [] : [openFor(sealing, row.id, 'secret', sealed)]));
}

/** The secret to use: the one that was given, or one made here. Null: its sender is known by public keys. Throws KosError `trigger_invalid` (422). */
export function chooseSecret(
  { scheme, publicKeys }: Pick<SetTrigger, 'scheme' | 'publicKeys'>,
  given: string | undefined,
): { secret: string | null; made: boolean } {
  if (given !== undefined) {
    if (scheme === 'standard' && !/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/.test(given))
      throw invalidTrigger([{ pointer: '/secret', message: 'a Standard Webhooks secret is whsec_ and 24 to 64 bytes in base64' }]);
    return { secret: given, made: false };
  }
  switch (scheme) {
    case 'standard':
      return publicKeys.length > 0 ? { secret: null, made: false } : { secret: `whsec_${randomBytes(32).toString('base64')}`, made: true };
    case 'github':
    case 'bearer':
      return { secret: randomBytes(32).toString('base64url'), made: true };
    case 'stripe':
    case 'slack':
      throw invalidTrigger([{ pointer: '/secret', message: `${scheme === 'stripe' ? 'Stripe' : 'Slack'} makes the secret: give the one that it shows` }]);
  }
}

export const invalidTrigger = (details: FaultDetail[]): KosError =>
  new KosError({
    code: 'trigger_invalid',
    message: `The trigger cannot be used: ${details[0]?.message ?? ''}.`,
    fix: 'Correct it; try it on a sample without saving it: kai trigger try',
    status: 422,
    details,
  });
