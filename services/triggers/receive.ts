import type { Logger } from 'pino';
import { KosError } from '#core/errors.ts';
import type { Receipt } from '#schemas/trigger.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { deliver, type DeliverMeans, ignore, RightLost } from './deliver.ts';
import { greeting, keyInBody, readPayload } from './payload.ts';
import { triggerColumns, type TriggerRow } from './row.ts';
import { liveSecrets } from './secret.ts';
import { type Incoming, verifyDelivery } from './verify.ts';

export interface ReceiveMeans extends DeliverMeans {
  system: SystemDatabase;
  log: Logger;
  now: () => number;
}

/** What came to the address of a trigger. */
export interface Arrival {
  triggerId: string;
  /** Names in lower case. */
  headers: Record<string, string>;
  /** Media type, without parameters. */
  type: string;
  bytes: Buffer;
  /** Counts against the trigger's rate. Throws KosError `rate_limited` (429). */
  admit: (triggerId: string) => Promise<void>;
}

/** `challenge`: what is to be answered as it is. */
export type Received = { receipt: Receipt } | { challenge: string };

const keyAtMost = 500;

/**
 * Takes a delivery: who sent it, how many they send, then what it says. Unknown, disabled, wrongly signed: the same KosError `delivery_refused` (401), and why stands with
 * the trigger. Throws as `deliver` does.
 */
export async function receive(means: ReceiveMeans, arrival: Arrival): Promise<Received> {
  const trigger = await findTrigger(means.system, arrival.triggerId);
  if (trigger === null) {
    means.log.warn({ triggerId: arrival.triggerId }, 'triggers: a delivery to an address that is none');
    throw deliveryRefused();
  }
  const text = textOf(arrival.bytes);
  if (text === null) return await refuse(means, trigger, 'the body is not UTF-8');
  const verified = verifyDelivery(proofsOf(means, trigger), { headers: arrival.headers, text } satisfies Incoming, means.now());
  if (!verified.ok) return await refuse(means, trigger, verified.reason);
  if (!trigger.enabled) return await refuse(means, trigger, 'the trigger is disabled');
  await arrival.admit(trigger.id);
  const body = readPayload(arrival.type, text);
  const { scheme } = trigger.definition;
  const key = (verified.key ?? keyInBody(scheme, body))?.slice(0, keyAtMost) ?? null;
  const delivered = { trigger, content: { headers: arrival.headers, body }, bytes: arrival.bytes.length, key, redelivery: null };
  const greeted = greeting(scheme, arrival.headers, body);
  if (greeted !== null && greeted.challenge !== null) return { challenge: greeted.challenge };
  try {
    return { receipt: greeted === null ? await deliver(means, delivered) : await ignore(means, { ...delivered, key: null }, newId('delivery'), 'ping') };
  } catch (error) {
    if (error instanceof RightLost) return await refuse(means, trigger, error.message);
    throw error;
  }
}

/** Before any workspace is known: a look-up by id. */
async function findTrigger({ sql }: SystemDatabase, id: string): Promise<TriggerRow | null> {
  const [row] = await sql<TriggerRow[]>`select ${triggerColumns(sql)} from kos.triggers where id = ${id}`;
  return row ?? null;
}

const proofsOf = ({ sealing }: ReceiveMeans, trigger: TriggerRow) => ({
  scheme: trigger.definition.scheme,
  publicKeys: trigger.definition.publicKeys,
  secrets: liveSecrets(sealing, trigger),
});

function textOf(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** The operator sees how many and why; a row for each would let anybody fill the table. */
async function refuse({ system }: ReceiveMeans, { id }: TriggerRow, reason: string): Promise<never> {
  await system.sql`update kos.triggers set refused = refused + 1, refused_at = clock_timestamp(), refused_reason = ${reason} where id = ${id}`;
  throw deliveryRefused();
}

const deliveryRefused = (): KosError =>
  new KosError({
    code: 'delivery_refused',
    message: 'This delivery is not accepted.',
    fix: 'Whoever made the trigger sees why: kai trigger get NAME',
    status: 401,
  });
