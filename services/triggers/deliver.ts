import { KosError } from '#core/errors.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { DeliveryStatus, Receipt } from '#schemas/trigger.ts';
import type { Database, Transaction, TransactionSql } from '#services/database/connect.ts';
import { lostRightOf } from '#services/delegation/present-rights.ts';
import { newId } from '#services/ids.ts';
import { recordEvents } from '#services/records/record.ts';
import type { AcceptRequest } from '#services/runs/accept.ts';
import type { Sealing } from '#services/sealing/sealing.ts';
import { enableTrigger } from './change.ts';
import { type Evaluating, mapDelivery } from './evaluate.ts';
import type { DeliveredContent } from './read.ts';
import { lockTrigger, type TriggerRow } from './row.ts';
import { sealFor } from './secret.ts';

export interface DeliverMeans {
  database: Database;
  sealing: Sealing;
  evaluator: Evaluating;
  acceptRun: (request: AcceptRequest) => Promise<{ runId: string }>;
}

/** Something that was delivered and whose sender is known. */
export interface Delivered {
  trigger: TriggerRow;
  content: DeliveredContent;
  bytes: number;
  /** By which equal deliveries are known; null: by nothing. */
  key: string | null;
  /** Who has it run again; null: its sender. */
  redelivery: { actor: string; responsible: string } | null;
  /** Runs in the transaction that writes the run. */
  alsoInTransaction?: (transaction: Transaction, deliveryId: string) => Promise<void>;
}

class Duplicate extends Error {
  readonly of: string;

  constructor(of: string) {
    super(`The delivery ${of} is equal.`);
    this.of = of;
  }
}

/** The trigger may act for its creator no longer: it is disabled, and its sender is answered like anybody. */
export class RightLost extends Error {}

/**
 * Starts a run of what was delivered, or ignores it, and writes down which. Of equal deliveries, however close together, one is taken up: the others wait for it and are
 * told which. Throws RightLost; KosError, with `deliveryId`, when no run can be made of it: then its sender may send it again.
 */
export async function deliver(means: DeliverMeans, delivered: Delivered): Promise<Receipt> {
  const { trigger, redelivery } = delivered;
  const deliveryId = newId('delivery');
  try {
    const input = await mapDelivery(means.evaluator, trigger.definition, delivered.content);
    if (input === null) return await ignore(means, delivered, deliveryId, 'the filter is false for it');
    const { plan, labels, priority } = trigger.definition;
    const { runId } = await means.acceptRun({
      workspaceId: trigger.workspaceId,
      actor: redelivery?.actor ?? trigger.createdBy,
      responsible: redelivery?.responsible ?? trigger.createdBy,
      origin: { kind: 'trigger', id: trigger.id },
      request: { plan, input, ...(labels === undefined ? {} : { labels }), ...(priority === undefined ? {} : { priority }) },
      alsoInTransaction: async (transaction, id) => {
        await claim(transaction.sql, delivered);
        await assertMayAct(transaction.sql, trigger);
        await write(means, transaction.sql, delivered, deliveryId, { status: 'accepted', runId: id });
        await delivered.alsoInTransaction?.(transaction, deliveryId);
      },
    });
    return { deliveryId, runId };
  } catch (error) {
    if (error instanceof Duplicate) return await duplicate(means, delivered, deliveryId, error.of);
    if (error instanceof RightLost) await disable(means, trigger, error.message);
    if (!(error instanceof KosError) || error.status >= 500) throw error;
    throw await fail(means, delivered, deliveryId, error);
  }
}

/** What was ignored is known by its key, too. */
export async function ignore(means: DeliverMeans, delivered: Delivered, deliveryId: string, reason: string): Promise<Receipt> {
  await means.database.inWorkspace(delivered.trigger.workspaceId, async (transaction) => {
    await claim(transaction.sql, delivered);
    await write(means, transaction.sql, delivered, deliveryId, { status: 'ignored', reason });
    await delivered.alsoInTransaction?.(transaction, deliveryId);
  });
  return { deliveryId, ignored: reason };
}

/** One delivery with that key at a time. Throws Duplicate. */
async function claim(sql: TransactionSql, { trigger, key }: Delivered): Promise<void> {
  if (key === null) return;
  // Statements of their own, for the second must see what the lock's last holder committed; sent together.
  const locked = sql`select pg_advisory_xact_lock(hashtextextended(${`delivery ${trigger.id} ${key}`}, 0))`.execute();
  const found = sql<{ id: string }[]>`
    select id from kos.trigger_deliveries where trigger_id = ${trigger.id} and key = ${key} and status in ('accepted', 'ignored')`.execute();
  const [, [equal]] = await Promise.all([locked, found]);
  if (equal !== undefined) throw new Duplicate(equal.id);
}

/** Throws RightLost. A trigger that was disabled or removed a moment ago counts as one, too. */
async function assertMayAct(sql: TransactionSql, { id }: TriggerRow): Promise<void> {
  const now = await lockTrigger(sql, id);
  if (!now.enabled) throw new RightLost(now.note ?? 'The trigger is disabled.');
  const lost = await lostRightOf(sql, now, 'runs:start');
  if (lost !== null) throw new RightLost(lost);
}

async function disable({ database }: DeliverMeans, { id, workspaceId }: TriggerRow, note: string): Promise<void> {
  await database.inWorkspace(workspaceId, async (transaction) => {
    const { enabled } = await lockTrigger(transaction.sql, id);
    if (enabled) await enableTrigger(transaction, { workspaceId, actor: 'kos', id, enabled: false, note });
  });
}

async function duplicate(means: DeliverMeans, delivered: Delivered, deliveryId: string, of: string): Promise<Receipt> {
  await means.database.inWorkspace(delivered.trigger.workspaceId, ({ sql }) =>
    write(means, sql, delivered, deliveryId, { status: 'duplicate', duplicateOf: of }),
  );
  return { deliveryId, duplicateOf: of };
}

async function fail(means: DeliverMeans, delivered: Delivered, deliveryId: string, error: KosError): Promise<KosError> {
  await means.database.inWorkspace(delivered.trigger.workspaceId, ({ sql }) =>
    write(means, sql, delivered, deliveryId, { status: 'failed', reason: error.message }),
  );
  const { code, message, fix, status, retryable } = error;
  // Where in plan and input stays with whoever may read them.
  return new KosError({
    code,
    message: delivered.redelivery === null ? 'No run could be made of this delivery.' : message,
    fix,
    status,
    retryable,
    extra: { deliveryId },
  });
}

interface Outcome {
  status: DeliveryStatus;
  reason?: string;
  runId?: string;
  duplicateOf?: string;
}

async function write({ sealing }: DeliverMeans, sql: TransactionSql, delivered: Delivered, deliveryId: string, outcome: Outcome): Promise<void> {
  const { trigger, content, bytes, key, redelivery } = delivered;
  const { status, reason = null, runId = null, duplicateOf = null } = outcome;
  const sealed = sealFor(sealing, trigger.id, 'content', JSON.stringify(content));
  const written = sql`
    insert into kos.trigger_deliveries (id, workspace_id, trigger_id, status, reason, key, duplicate_of, run_id, redelivered_by, content, bytes)
    values (${deliveryId}, ${trigger.workspaceId}, ${trigger.id}, ${status}, ${reason}, ${key}, ${duplicateOf}, ${runId}, ${redelivery?.actor ?? null}, ${sealed}, ${bytes})`.execute();
  const data: JsonObject = { triggerId: trigger.id, name: trigger.name, deliveryId, status, ...(reason === null ? {} : { reason }) };
  await Promise.all([written, recordEvents(sql, [{ workspaceId: trigger.workspaceId, runId, type: 'trigger.delivered', data }])]);
}
