import { didYouMean } from '#core/expression/closest-name.ts';
import { type FaultDetail, KosError } from '#core/errors.ts';
import type { CompiledStep } from '#core/plan/compiled.ts';
import { loadPlan } from '#core/plan/load.ts';
import { mayTakeSignal, signalNameOf } from '#core/plan/signal-names.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { isFinalRunStatus, type RunStatus, type StepStatus } from '#schemas/run.ts';
import { type SendSignal, type Signal, signalLimits } from '#schemas/signal.ts';
import { type Database, jsonParameter, type Transaction, type TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';
import { outcomeOf } from '#services/runs/ledger/take-step.ts';
import { runNotFound } from '#services/runs/read.ts';
import { lockSignals } from './ledger.ts';
import { readSignal } from './read.ts';

export interface SendDependencies {
  database: Database;
  validateJson: (schema: Json, value: Json) => Promise<FaultDetail[]>;
}

export interface SendRequest {
  workspaceId: string;
  actor: string;
  runId: string;
  signal: SendSignal;
  /** Runs first in the transaction that keeps the signal, and is told the id it will have. */
  alsoInTransaction?: (transaction: Transaction, signalId: string) => Promise<void>;
}

/**
 * Keeps a signal for its run: the row, what it ends, event, audit entry and what Temporal is to be told stand in one transaction, or nothing does. Throws KosError
 * `run_not_found` (404), `run_final`, `signal_not_awaited`, `signal_buffer_full` (409), `signal_unknown`, `signal_payload_invalid`, `signal_too_large` (422).
 */
export async function sendSignal({ database, validateJson }: SendDependencies, request: SendRequest): Promise<Signal> {
  const { workspaceId, runId, signal } = request;
  const bytes = Buffer.byteLength(JSON.stringify(signal.payload));
  if (bytes > signalLimits.payloadBytes) throw tooLarge(bytes);
  const steps = await database.inWorkspace(workspaceId, ({ sql }) => stepsThatMayTake(sql, runId, signal.name));
  await assertFits(validateJson, steps, signal);
  const signalId = newId('signal');
  return await database.inWorkspace(workspaceId, async (transaction) => {
    await request.alsoInTransaction?.(transaction, signalId);
    await keepSignal(transaction.sql, request, signalId);
    return readSignal(transaction, signalId);
  });
}

/** The steps of the run's plan that wait for a signal of this name, or will. */
async function stepsThatMayTake(sql: TransactionSql, runId: string, name: string): Promise<CompiledStep[]> {
  const [run] = await sql<{ status: RunStatus; document: JsonObject }[]>`
    select r.status, v.document from kos.runs r
    join kos.plan_versions v on v.workspace_id = r.workspace_id and v.name = r.plan_name and v.version = r.plan_version where r.id = ${runId}`;
  if (run === undefined) throw runNotFound(runId);
  assertOpen(runId, run.status);
  const waiting = loadPlan(run.document).steps.filter((step) => step.kind === 'signal');
  const named = waiting.filter((step) => mayTakeSignal(step, name));
  if (named.length === 0) throw unknownName(runId, name, waiting.map(signalNameOf));
  const rows = await sql<{ step: number; status: StepStatus }[]>`
    select step, status from kos.steps where run_id = ${runId} and item is null and step in ${sql(named.map(({ number }) => number))}`;
  const ended = new Set(rows.filter(({ status }) => outcomeOf(status, false) !== null).map(({ step }) => step));
  const open = named.filter(({ number }) => !ended.has(number));
  if (open.length === 0) throw notAwaited(runId, name, named);
  return open;
}

async function assertFits(validateJson: SendDependencies['validateJson'], steps: CompiledStep[], { name, payload }: SendSignal): Promise<void> {
  for (const { id, definition } of steps) {
    const schema = 'signal' in definition ? definition.signal.schema : undefined;
    const faults = schema === undefined ? [] : await validateJson(schema, payload);
    const [first] = faults;
    if (first === undefined) continue;
    throw new KosError({
      code: 'signal_payload_invalid',
      message: `The payload of ${name} does not fit what the step ${id} waits for: ${first.pointer || '/'} ${first.message}.`,
      fix: `The step's schema says what it takes.`,
      status: 422,
      details: faults.map((fault) => ({ ...fault, pointer: `/payload${fault.pointer}` })),
    });
  }
}

async function keepSignal(sql: TransactionSql, request: SendRequest, signalId: string): Promise<void> {
  const { workspaceId, actor, runId, signal } = request;
  await lockSignals(sql, runId);
  const wait = await settleOldestWait(sql, runId, signal.name);
  const [run] = await sql<{ status: RunStatus; untaken: number; position: number }[]>`
    select r.status, (select count(*) from kos.signals where run_id = r.id and taken_by is null)::int as untaken,
      (select coalesce(max(position), 0) + 1 from kos.signals where run_id = r.id)::int as position
    from kos.runs r where r.id = ${runId}`;
  if (run === undefined) throw runNotFound(runId);
  assertOpen(runId, run.status);
  if (wait === null && run.untaken >= signalLimits.untaken) throw bufferFull(runId, run.untaken);
  const stepPath = wait?.stepPath ?? null;
  // The driver sends a null as SQL's, which says that there is none; JSON's is the payload of a signal without one.
  await sql`
    insert into kos.signals (id, workspace_id, run_id, name, position, payload, sent_by, taken_by, taken_at, wait_id)
    values (${signalId}, ${workspaceId}, ${runId}, ${signal.name}, ${run.position}, coalesce(${jsonParameter(sql, signal.payload)}, 'null'::json), ${actor}, ${stepPath},
      ${wait === null ? null : sql`clock_timestamp()`}, ${wait?.id ?? null})`;
  if (wait !== null) {
    const order = sql.json({ waitId: wait.id, version: wait.version });
    await sql`insert into kos.outbox (workspace_id, run_id, kind, payload) values (${workspaceId}, ${runId}, 'decision', ${order})`;
  }
  const facts = { signalId, name: signal.name, stepPath };
  await recordEvents(sql, [{ workspaceId, runId, type: 'signal.received', data: { ...facts, by: actor } }]);
  await recordAudit(sql, [{ workspaceId, actor, action: 'run.signal', subject: runId, data: facts }]);
}

/** Of several steps that wait for one name, the one that has waited longest takes it. */
async function settleOldestWait(sql: TransactionSql, runId: string, name: string): Promise<{ id: string; version: number; stepPath: string } | null> {
  const [wait] = await sql<{ id: string; version: number; stepPath: string }[]>`
    update kos.waits set status = 'settled', version = version + 1, closed_at = clock_timestamp()
    where id = (
      select id from kos.waits where run_id = ${runId} and signal_name = ${name} and status = 'open' and (expires_at is null or expires_at > clock_timestamp())
      order by opened_at, id limit 1 for update)
    returning id, version, step_path as "stepPath"`;
  return wait ?? null;
}

function assertOpen(runId: string, status: RunStatus): void {
  if (!isFinalRunStatus(status)) return;
  throw new KosError({
    code: 'run_final',
    message: `The run ${runId} has ${status} already: nothing waits for a signal there.`,
    fix: `kai run get ${runId}`,
    status: 409,
    extra: { runStatus: status },
  });
}

function unknownName(runId: string, name: string, known: string[]): KosError {
  const names = [...new Set(known)];
  const listed = names.length === 0 ? 'Its plan has no signal steps.' : `It waits for: ${names.slice(0, 20).join(', ')}.`;
  return new KosError({
    code: 'signal_unknown',
    message: `No step of the run ${runId} waits for a signal called "${name}".`,
    fix: [didYouMean(name, names)?.replace(/^d/, 'D'), listed].filter((part) => part !== undefined).join(' '),
    status: 422,
    details: [{ pointer: '/name', message: 'no step waits for this name' }],
  });
}

const notAwaited = (runId: string, name: string, ended: CompiledStep[]): KosError =>
  new KosError({
    code: 'signal_not_awaited',
    message: `The run ${runId} does not wait for ${name} any more: ${ended.map(({ id }) => id).join(', ')} ${ended.length === 1 ? 'has' : 'have'} ended.`,
    fix: `kai run get ${runId}`,
    status: 409,
  });

const bufferFull = (runId: string, count: number): KosError =>
  new KosError({
    code: 'signal_buffer_full',
    message: `The run ${runId} has ${count} signals that no step has taken yet; more are not kept.`,
    fix: `Wait until its steps take some: kai run why ${runId}`,
    status: 409,
    retryable: true,
  });

const tooLarge = (bytes: number): KosError =>
  new KosError({
    code: 'signal_too_large',
    message: `The payload has ${bytes} bytes; ${signalLimits.payloadBytes} are allowed.`,
    fix: 'Send what is large as an artifact, and its id as the payload.',
    status: 422,
  });
