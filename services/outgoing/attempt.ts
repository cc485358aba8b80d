import { afterAttempt, type Verdict } from '#core/outgoing/next-attempt.ts';
import { asJsonObject } from '#schemas/json.ts';
import type { Attempt } from '#schemas/outgoing.ts';
import type { Database, TransactionSql } from '#services/database/connect.ts';
import type { Gate } from './gate.ts';
import { policyFor, type SendMeans } from './means.ts';
import { post, type Posted } from './post.ts';
import { enableReceiver } from './receivers.ts';
import { findTarget, type Target } from './target.ts';

export interface AttemptMeans extends SendMeans {
  database: Database;
  gate: Gate;
  now: () => number;
  /** From 0 to 1. */
  random: () => number;
}

export interface AttemptLife {
  signal: AbortSignal;
  /** Goes on trying while the database is away: what was sent and is not on record is sent again. */
  lasting<Result>(work: () => Promise<Result>): Promise<Result>;
}

/** Ids only: what Temporal is told of a delivery. */
export interface DeliveryPlace {
  workspaceId: string;
  deliveryId: string;
}

export type Next = { is: 'over' } | { is: 'again'; inMs: number } | { is: 'noRoom'; inMs: number };

interface PendingRow {
  targetId: string;
  eventId: string;
  body: string;
  attempts: number;
  createdAt: Date;
}

/** Somebody looks whether its workflow is still there when it should long have been tried again. */
const wakeLaterMs = 10 * 60_000;
const noRoom = { leastMs: 500, mostMs: 60_000 };

/** One try of a delivery, and what follows from it. At least once: one that is killed after sending is made again, under the same `webhook-id`. */
export async function attempt(means: AttemptMeans, place: DeliveryPlace, refusals: number, { signal, lasting }: AttemptLife): Promise<Next> {
  const inWorkspace = <Result>(work: (sql: TransactionSql) => Promise<Result>): Promise<Result> =>
    lasting(() => means.database.inWorkspace(place.workspaceId, ({ sql }) => work(sql)));
  const found = await inWorkspace((sql) => findPending(sql, place.deliveryId));
  if (found === null) return { is: 'over' };
  const { delivery, target } = found;
  if (!target.enabled) {
    await inWorkspace((sql) => giveUp(sql, place.deliveryId, `The ${target.kind} is disabled${because(target.note)}.`));
    return { is: 'over' };
  }
  const leave = means.gate.enter(target.id);
  if (leave === null) return { is: 'noRoom', inMs: Math.round(Math.min(noRoom.mostMs, noRoom.leastMs * 1.5 ** refusals) * (0.5 + means.random())) };
  let posted: Posted;
  try {
    const policy = await policyFor(means, place.workspaceId);
    const message = { id: delivery.eventId, body: delivery.body };
    posted = await post(target.post(means.sealing, message, new Date(means.now())), policy, signal);
  } finally {
    leave();
  }
  const verdict = afterAttempt(
    { status: posted.attempt.status, retryAfterMs: posted.retryAfterMs },
    { attempts: delivery.attempts + 1, startedMs: delivery.createdAt.getTime(), nowMs: means.now(), random: means.random() },
  );
  await inWorkspace((sql) => record(sql, place, target, posted.attempt, verdict));
  return verdict.is === 'again' ? verdict : { is: 'over' };
}

const because = (note: string | null): string => (note === null ? '' : `: ${note.replace(/\.$/, '')}`);

async function findPending(sql: TransactionSql, deliveryId: string): Promise<{ delivery: PendingRow; target: Target } | null> {
  const [delivery] = await sql<PendingRow[]>`
    select target_id as "targetId", event_id as "eventId", body, jsonb_array_length(tries) as attempts, created_at as "createdAt"
    from kos.outgoing_deliveries where id = ${deliveryId} and status = 'pending'`;
  if (delivery === undefined) return null;
  const target = await findTarget(sql, delivery.targetId);
  return target === null ? null : { delivery, target };
}

const giveUp = (sql: TransactionSql, deliveryId: string, reason: string) => sql`
  update kos.outgoing_deliveries set status = 'failed', reason = ${reason}, next_attempt_at = null, finished_at = clock_timestamp() where id = ${deliveryId} and status = 'pending'`;

async function record(sql: TransactionSql, { workspaceId, deliveryId }: DeliveryPlace, target: Target, tried: Attempt, verdict: Verdict): Promise<void> {
  const tries = sql`tries || ${sql.json([asJsonObject(tried)])}`;
  if (verdict.is === 'again') {
    const inSeconds = verdict.inMs / 1_000;
    await sql`
      update kos.outgoing_deliveries set tries = ${tries}, next_attempt_at = clock_timestamp() + make_interval(secs => ${inSeconds}),
        wake_at = clock_timestamp() + make_interval(secs => ${inSeconds + wakeLaterMs / 1_000})
      where id = ${deliveryId} and status = 'pending'`;
    return;
  }
  const status = verdict.is === 'delivered' ? 'delivered' : 'failed';
  await sql`
    update kos.outgoing_deliveries set tries = ${tries}, status = ${status}, next_attempt_at = null, finished_at = clock_timestamp() where id = ${deliveryId} and status = 'pending'`;
  if (verdict.is !== 'gone' || !target.enabled) return;
  const note = 'The receiver answered 410: it wants no more.';
  await enableReceiver({ sql }, { kind: target.kind, workspaceId, actor: 'kos', id: target.id, enabled: false, note });
}
