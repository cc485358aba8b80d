import { afterFailure, afterSuccess, digestAtMs, type FailedRun, noFailures, type PlanFailures, takeDigest } from '#core/channel/failures.ts';
import { formOf } from '#core/channel/forms.ts';
import { approvalMessage, digestMessage, failureMessage, type Message, missedMessage, shortened, uncertainMessage } from '#core/channel/message.ts';
import type { ChannelDefinition, ChannelTopic } from '#schemas/channel.ts';
import { asJsonObject, type JsonObject } from '#schemas/json.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import type { Behind } from '#services/outgoing/behind.ts';
import { insertDeliveries } from '#services/outgoing/deliveries.ts';

interface Telling {
  publicUrl: string;
  nowMs: number;
}

interface NewsRow {
  id: string;
  seq: number;
  type: ChannelTopic | 'run.succeeded';
  runId: string | null;
  at: Date;
  data: JsonObject;
  /** Null: it belongs to no run, or the run is gone. */
  plan: string | null;
}

const newsAtOnce = 200;
const messageLongest = 500;

/** The news of one channel, in their order: what is told, what is kept for a digest. Answers up to which number it has come. */
export const tellChannel =
  (telling: Telling) =>
  async (sql: TransactionSql, channel: Behind<ChannelDefinition>): Promise<number> => {
    const news = await readNews(sql, channel);
    for (const event of news) await tellOne(sql, channel, event, telling);
    return news.length === newsAtOnce ? (news.at(-1)?.seq ?? channel.lastSeq) : channel.lastSeq;
  };

/** The ends of runs that another run started are their caller's to tell. A success only ends what failures began. */
async function readNews(sql: TransactionSql, { workspaceId, definition, seenSeq, lastSeq }: Behind<ChannelDefinition>): Promise<NewsRow[]> {
  const { topics, plan } = definition;
  const types = [...topics, ...(topics.includes('run.failed') ? ['run.succeeded'] : [])];
  return await sql<NewsRow[]>`
    select e.id, e.seq, e.type, e.run_id as "runId", e.at, e.data, coalesce(r.plan_name, s.plan_name) as plan
    from kos.events e left join kos.runs r on r.id = e.run_id left join kos.schedules s on s.id = e.data->>'scheduleId'
    where e.workspace_id = ${workspaceId} and e.seq > ${seenSeq} and e.seq <= ${lastSeq} and e.type in ${sql(types)}
      and (e.type not in ('run.failed', 'run.succeeded') or r.parent_run_id is null) and ${plan === null ? sql`true` : sql`coalesce(r.plan_name, s.plan_name) = ${plan}`}
    order by e.seq limit ${newsAtOnce}`;
}

async function tellOne(sql: TransactionSql, channel: Behind<ChannelDefinition>, event: NewsRow, telling: Telling): Promise<void> {
  const plan = event.plan ?? 'a plan that is gone';
  switch (event.type) {
    case 'run.failed': {
      const failed = failedRun(event);
      const after = afterFailure(await lockFailures(sql, channel.id, plan), failed, telling.nowMs);
      await writeFailures(sql, channel, plan, after.state);
      if (after.tell) await send(sql, channel, event.id, failureMessage(plan, failed, telling.publicUrl));
      return;
    }
    case 'run.succeeded': {
      const before = await lockFailures(sql, channel.id, plan);
      if (before.failing) await writeFailures(sql, channel, plan, afterSuccess(before));
      return;
    }
    default:
      await send(sql, channel, event.id, messageOf(event.type, event, plan, telling.publicUrl));
  }
}

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);
const objectOf = (value: unknown): JsonObject => asJsonObject(typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {});

function failedRun({ id, runId, at, data }: NewsRow): FailedRun {
  const error = objectOf(data['error']);
  return {
    runId: runId ?? '',
    eventId: id,
    code: textOf(error['code']) ?? 'unknown',
    message: shortened(textOf(error['message']) ?? '', messageLongest),
    stepPath: textOf(error['stepPath']),
    at: at.toISOString(),
  };
}

function messageOf(topic: Exclude<ChannelTopic, 'run.failed'>, { runId, data }: NewsRow, plan: string, publicUrl: string): Message {
  const place = { runId: runId ?? '', plan, stepPath: textOf(data['stepPath']) ?? '' };
  switch (topic) {
    case 'approval.requested': {
      const [approvalId, from, expiresAt] = [textOf(data['approvalId']) ?? '', textOf(data['from']), textOf(data['expiresAt'])];
      return approvalMessage({ ...place, approvalId, from, expiresAt }, publicUrl);
    }
    case 'step.uncertain':
      return uncertainMessage({ ...place, message: textOf(objectOf(data['error'])['message']) }, publicUrl);
    case 'schedule.missed': {
      const nominalAt = Array.isArray(data['nominalAt']) ? data['nominalAt'].map(String) : [];
      const [scheduleId, name] = [textOf(data['scheduleId']) ?? '', textOf(data['name']) ?? ''];
      return missedMessage({ scheduleId, name, nominalAt, reason: textOf(data['reason']) }, publicUrl);
    }
  }
}

async function lockFailures(sql: TransactionSql, channelId: string, plan: string): Promise<PlanFailures> {
  const [row] = await sql<{ state: PlanFailures }[]>`select state from kos.channel_failures where channel_id = ${channelId} and plan_name = ${plan} for update`;
  return row?.state ?? noFailures;
}

async function writeFailures(
  sql: TransactionSql,
  { id, workspaceId }: Pick<Behind<unknown>, 'id' | 'workspaceId'>,
  plan: string,
  state: PlanFailures,
): Promise<void> {
  const dueMs = digestAtMs(state);
  await sql`
    insert into kos.channel_failures (workspace_id, channel_id, plan_name, state, digest_at)
    values (${workspaceId}, ${id}, ${plan}, ${sql.json(asJsonObject(state))}, ${dueMs === null ? null : new Date(dueMs)})
    on conflict (channel_id, plan_name) do update set state = excluded.state, digest_at = excluded.digest_at`;
}

const send = (
  sql: TransactionSql,
  channel: Pick<Behind<ChannelDefinition>, 'id' | 'workspaceId' | 'definition'>,
  eventId: string,
  message: Message,
): Promise<void> =>
  insertDeliveries(sql, [
    {
      workspaceId: channel.workspaceId,
      targetId: channel.id,
      eventId,
      type: message.topic,
      runId: message.runId,
      body: JSON.stringify(formOf(channel.definition.kind, message)),
    },
  ]);

const digestsAtOnce = 50;

/** Digests that are due, of channels that are enabled. A digest goes by the id of the newest failure in it, which was told of nowhere else. True: there may be more. */
export async function tellDigests({ sql: system }: SystemDatabase, { publicUrl, nowMs }: Telling): Promise<boolean> {
  const due = await system<{ channelId: string; plan: string }[]>`
    select f.channel_id as "channelId", f.plan_name as plan from kos.channel_failures f join kos.channels c on c.id = f.channel_id
    where f.digest_at <= ${new Date(nowMs)} and c.enabled order by f.digest_at limit ${digestsAtOnce}`;
  for (const { channelId, plan } of due) {
    await system.begin(async (sql) => {
      const [channel] = await sql<Pick<Behind<ChannelDefinition>, 'id' | 'workspaceId' | 'definition'>[]>`
        select id, workspace_id as "workspaceId", definition from kos.channels where id = ${channelId} and enabled for update skip locked`;
      if (channel === undefined) return;
      const taken = takeDigest(await lockFailures(sql, channelId, plan), nowMs);
      const [newest] = taken?.digest.newest ?? [];
      if (taken === null || newest === undefined) return;
      await writeFailures(sql, channel, plan, taken.state);
      await send(sql, channel, newest.eventId, digestMessage(plan, taken.digest, publicUrl));
    });
  }
  return due.length === digestsAtOnce;
}
