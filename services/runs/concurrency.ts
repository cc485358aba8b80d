import { KosError } from '#core/errors.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { Template } from '#core/expression/template.ts';
import { readConcurrencyKey } from '#core/plan/concurrency.ts';
import { type ConcurrencyRule, concurrencyRuleSchema } from '#schemas/plan.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { isFinalRunStatus, type WaitingFor } from '#schemas/run.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { lockRun } from './actions/locked-run.ts';
import { requestCancel } from './change.ts';
import { type Line, lineName, namesOf, type Place, placesOf, waitsForSlot } from './line.ts';
import { beginsNow } from './start-times.ts';

export interface SlotRequest extends Line {
  runId: string;
  actor: string;
  rule: ConcurrencyRule;
  /** Payload of the order to start, which waits with the run. */
  order: JsonObject;
}

const longestKey = 200;
/** Waiting runs whose rows say who is ahead of them: the first of the line. Those behind them learn it when they come this far. */
const toldAtMost = 50;
/** Lines that are looked after in one round. */
const linesAtMost = 50;

type Evaluate = (template: Template, scope: Scope) => Promise<Json>;

/** What bounds a run, and the key by which it shares its plan's slots. */
export interface Bound {
  rule: ConcurrencyRule;
  key: string;
}

/** Null: the plan does not bound its runs. Throws KosError `concurrency_key_invalid` (422), and what evaluating an expression throws. */
export async function boundOf(evaluate: Evaluate, plan: { document: JsonObject }, input: JsonObject, runId: string): Promise<Bound | null> {
  if (plan.document.concurrency === undefined) return null;
  const rule = concurrencyRuleSchema.parse(plan.document.concurrency);
  return { rule, key: await evaluateKey(evaluate, rule, input, runId) };
}

async function evaluateKey(evaluate: Evaluate, rule: ConcurrencyRule, input: JsonObject, runId: string): Promise<string> {
  const value = await evaluate(readConcurrencyKey(rule), { input, steps: {}, run: { id: runId, startedAt: new Date(0).toISOString() } });
  const text = typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
  if (typeof text === 'string' && text.length <= longestKey && !text.includes('\u0000')) return text;
  throw new KosError({
    code: 'concurrency_key_invalid',
    message: `The plan's concurrency.key gave ${JSON.stringify(value).slice(0, 200)}, not a text of ${longestKey} characters at most.`,
    fix: 'Let it give a short text, a number or a boolean for every input.',
    status: 422,
  });
}

/** One at a time decides of a line. Taken before any other run's row, and by nobody who holds one. */
const lockLine = (sql: TransactionSql, { workspaceId, planName, key }: Line) =>
  sql`select pg_advisory_xact_lock(hashtextextended(${`concurrency ${workspaceId} ${planName} ${key}`}, 0))`;

/**
 * Gives the run a slot, or its place in the line. The slot is given back by the statement that closes the run, whoever makes it (a trigger on `kos.runs`).
 * Throws KosError `concurrency_limit` (409) where the plan rejects what finds no slot.
 */
export async function takeSlot(sql: TransactionSql, request: SlotRequest): Promise<'held' | 'waits'> {
  await lockLine(sql, request);
  const places = await placesOf(sql, request);
  const own = places.find(({ runId }) => runId === request.runId);
  if (own !== undefined) return own.held ? 'held' : 'waits';
  const { limit, onConflict = 'queue' } = request.rule;
  const free = places.length < limit;
  if (!free && onConflict === 'reject') throw rejected(request, places);
  await sql`
    insert into kos.concurrency_slots (workspace_id, plan_name, key, run_id, slots, held_at, start_order)
    values (${request.workspaceId}, ${request.planName}, ${request.key}, ${request.runId}, ${limit}, ${free ? sql`clock_timestamp()` : null}, ${sql.json(request.order)})`;
  if (free) return 'held';
  if (onConflict === 'cancelRunning') await cancelAhead(sql, request, places);
  await tellWhoIsAhead(sql, request, await placesOf(sql, request));
  return 'waits';
}

/** The oldest give way, as many as it takes for this run to be the next. */
async function cancelAhead(sql: TransactionSql, { workspaceId, runId, rule }: SlotRequest, places: Place[]): Promise<void> {
  const reason = `superseded by ${runId}`;
  for (const place of places.slice(0, places.length - rule.limit + 1)) {
    // One that has ended since the line was read has given way already.
    if (!isFinalRunStatus((await lockRun(sql, place.runId)).status)) await requestCancel({ sql }, { workspaceId, actor: 'kos', runId: place.runId, reason });
  }
}

function rejected(request: SlotRequest, places: Place[]): KosError {
  const { limit } = request.rule;
  return new KosError({
    code: 'concurrency_limit',
    message: `At most ${limit} ${limit === 1 ? 'run' : 'runs'} of ${lineName(request)} may be open at once, and ${namesOf(places)} ${places.length === 1 ? 'is' : 'are'}.`,
    fix: `Wait for its end (kai run watch ${places[0]?.runId ?? 'RUN'}), or cancel it.`,
    status: 409,
    retryable: true,
    extra: { holders: places.slice(0, 20).map(({ runId }) => runId) },
  });
}

async function tellWhoIsAhead(sql: TransactionSql, line: Line, places: Place[]): Promise<void> {
  const holders = places.filter(({ held }) => held);
  const waiting = places.filter(({ held }) => !held);
  for (const [ahead, place] of waiting.slice(0, toldAtMost).entries()) await tell(sql, place.runId, waitsForSlot(line, holders, place, ahead));
  for (const place of waiting.slice(toldAtMost).slice(-1)) {
    const text = `Waits for a slot of ${lineName(line)}: ${waiting.length - 1} runs wait before it, ${namesOf(holders)} held the ${place.slots} when it came.`;
    await tell(sql, place.runId, { kind: 'concurrency', ref: holders[0]?.runId ?? null, until: null, text });
  }
}

const tell = (sql: TransactionSql, runId: string, waitingFor: WaitingFor) =>
  sql`update kos.runs set waiting_for = ${sql.json({ ...waitingFor })} where id = ${runId} and status = 'queued' and waiting_for is distinct from ${sql.json({ ...waitingFor })}`;

/** Gives the slots that are free to whoever is next, in order, and orders their start. */
export async function admitWaiting({ sql }: SystemDatabase): Promise<void> {
  const lines = await sql<Line[]>`
    select workspace_id as "workspaceId", plan_name as "planName", key from kos.concurrency_slots
    where exists (select from kos.concurrency_slots where held_at is null)
    group by workspace_id, plan_name, key having count(*) filter (where held_at is null) > 0 and count(*) filter (where held_at is not null) < max(slots)
    limit ${linesAtMost}`;
  for (const line of lines) await sql.begin((transaction) => admitNext(transaction, line));
}

async function admitNext(sql: TransactionSql, line: Line): Promise<void> {
  await lockLine(sql, line);
  const places = await placesOf(sql, line);
  let held = places.filter((place) => place.held).length;
  let admitted = 0;
  for (const place of places) {
    if (place.held) continue;
    if (held >= place.slots) break;
    if (!(await admit(sql, line, place))) continue;
    held += 1;
    admitted += 1;
  }
  if (admitted > 0) await tellWhoIsAhead(sql, line, await placesOf(sql, line));
}

/** False: the run has been closed meanwhile, and its place is gone. Its time, where the plan bounds it, begins now. */
async function admit(sql: TransactionSql, { workspaceId }: Line, { id, runId }: Place): Promise<boolean> {
  const [run] = await sql`
    update kos.runs set waiting_for = case when status = 'queued' then null else waiting_for end,
      ${beginsNow(sql)}
    where id = ${runId} and status in ('queued', 'paused') returning id`;
  if (run === undefined) return false;
  await sql`
    with taken as (update kos.concurrency_slots set held_at = clock_timestamp() where id = ${id} and held_at is null returning start_order)
    insert into kos.outbox (workspace_id, run_id, kind, payload) select ${workspaceId}, ${runId}, 'start', start_order from taken`;
  return true;
}
