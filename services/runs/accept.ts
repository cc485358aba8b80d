import { KosError } from '#core/errors.ts';
import { currentRules } from '#core/engine/decide.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { Template } from '#core/expression/template.ts';
import type { InputResult } from '#core/plan/validate-input.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { Origin, StartRun } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';
import { type Database, jsonParameter, type Transaction, type TransactionSql } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { pinCalledPlans } from '#services/plans/called-plans.ts';
import { type Bound, boundOf, takeSlot } from './concurrency.ts';
import { beginsNow, type RunTimes, timesOf, waitsForItsTime } from './start-times.ts';
import { recordAudit, recordEvents } from '#services/records/record.ts';

export interface AcceptDependencies {
  database: Database;
  validateInput(schema: Json | null, input: Json | undefined): Promise<InputResult>;
  /** Of the key by which a plan's runs share their slots. */
  evaluate(template: Template, scope: Scope): Promise<Json>;
}

export interface AcceptRequest {
  workspaceId: string;
  actor: string;
  responsible: string;
  origin: Origin;
  request: StartRun;
  /** Steps are written with the run: it begins from its rows. */
  carried?: boolean;
  /** The workflow that starts the run as a child of its own: nobody else does while it is open. */
  wrapper?: string;
  /** Runs in the transaction that writes the run. */
  alsoInTransaction?: (transaction: Transaction, runId: string) => Promise<void>;
}

type InsertRequest = Pick<AcceptRequest, 'workspaceId' | 'actor' | 'responsible' | 'origin' | 'carried' | 'wrapper'> & {
  request: Pick<StartRun, 'labels' | 'startAt' | 'deadlineAt' | 'timeoutMs' | 'priority' | 'cache'>;
};

export interface PlanRow {
  name: string;
  version: number;
  digest: string;
  document: JsonObject;
  shape: PlanShape;
}

/**
 * Accepts a run: its row, event, audit entry, idempotency key and the order to start it stand in one transaction, or nothing does. Throws
 * KosError `plan_not_found` (404), `input_invalid` (422, with pointers), `deadline_passed` (422), `concurrency_limit` (409).
 */
export async function acceptRun(dependencies: AcceptDependencies, accept: AcceptRequest): Promise<{ runId: string }> {
  const plan = await fetchPlan(dependencies.database, accept.workspaceId, accept.request.plan);
  const input = await checkedInput(dependencies, plan, accept.request.input);
  const runId = newId('run');
  const callsPlans = plan.shape.steps.some(({ kind }) => kind === 'plan');
  const bound = await boundOf(dependencies.evaluate, plan, input, runId);
  await dependencies.database.inWorkspace(accept.workspaceId, async (transaction) => {
    const planPins = callsPlans ? await pinCalledPlans(transaction.sql, plan) : null;
    await insertRun(transaction.sql, accept, plan, { runId, input, planPins, bound });
    await accept.alsoInTransaction?.(transaction, runId);
  });
  return { runId };
}

export const findPlan = async (sql: TransactionSql, reference: string): Promise<PlanRow> => thePlan(await selectPlan(sql, reference), reference);

/** In a transaction of its own, in one round trip. */
const fetchPlan = (database: Database, workspaceId: string, reference: string): Promise<PlanRow> =>
  database.inWorkspace(workspaceId, async ({ sql, commit }) => {
    const asked = selectPlan(sql, reference).execute();
    commit();
    return thePlan(await asked, reference);
  });

function selectPlan(sql: TransactionSql, reference: string) {
  const [name = '', version] = reference.split('@');
  return sql<PlanRow[]>`
    select v.name, v.version, v.digest, v.document, v.shape from kos.plans p join kos.plan_versions v on v.workspace_id = p.workspace_id and v.name = p.name
    where p.name = ${name} and not p.archived and v.version = ${version === undefined ? sql`p.latest_version` : Number(version)}`;
}

function thePlan([row]: readonly PlanRow[], reference: string): PlanRow {
  if (row !== undefined) return row;
  throw new KosError({
    code: 'plan_not_found',
    message: `There is no plan "${reference}" in this workspace.`,
    fix: 'See what there is: kai plan list. Save one: kai plan save FILE',
    status: 404,
  });
}

/** Of a run that is there: its plan may have been archived since. */
export async function readPlanVersion(sql: TransactionSql, { planName, planVersion }: { planName: string; planVersion: number }): Promise<PlanRow> {
  const [row] = await sql<
    PlanRow[]
  >`select name, version, digest, document, shape from kos.plan_versions where name = ${planName} and version = ${planVersion}`;
  if (row === undefined) throw new Error(`The plan ${planName}@${planVersion} of a run is gone.`);
  return row;
}

export async function checkedInput(dependencies: Pick<AcceptDependencies, 'validateInput'>, plan: PlanRow, given: JsonObject): Promise<JsonObject> {
  const result = await dependencies.validateInput(plan.document.input ?? null, given);
  if (result.ok) return result.input;
  const first = result.faults[0];
  throw new KosError({
    code: 'input_invalid',
    message: `The input does not fit plan ${plan.name}@${plan.version}: ${first === undefined ? 'it is invalid' : `${first.pointer || '/'} ${first.message}`}.`,
    fix: `See what it takes: kai plan get ${plan.name}`,
    status: 422,
    details: result.faults.map((fault) => ({ ...fault, pointer: `/input${fault.pointer}` })),
  });
}

/** Where a run stands below the one whose step starts it. */
export interface RunParent {
  runId: string;
  rootRunId: string;
  calledFrom: string;
  depth: number;
  /** It ends when its parent must, at the latest. */
  deadlineAt: Date | null;
}

export interface NewRun {
  runId: string;
  input: JsonObject;
  planPins: Record<string, number> | null;
  bound: Bound | null;
  parent?: RunParent;
}

const defaultPriority = 3;

/** The run's row, event, audit entry and the order to start it: sent together, for none needs the answer of another. */
export async function insertRun(sql: TransactionSql, accept: InsertRequest, plan: PlanRow, run: NewRun): Promise<void> {
  const { workspaceId, actor, responsible, origin, request } = accept;
  const { runId, input, planPins, bound, parent } = run;
  const labels = { ...(plan.document.labels as Record<string, string> | undefined), ...request.labels };
  const times = timesOf(request, plan.shape.timeoutMs, namesInstant(request) ? await databaseTimeMs(sql) : Date.now());
  const data = {
    plan: plan.name,
    version: plan.version,
    digest: plan.digest,
    ...(parent === undefined ? {} : { parentRunId: parent.runId, calledFrom: parent.calledFrom }),
    ...(times.startAt === null ? {} : { startAt: times.startAt.toISOString() }),
  };
  const written = sql`
    insert into kos.runs (id, workspace_id, plan_name, plan_version, plan_digest, status, input, labels, started_by, responsible, origin, rules, start_at, deadline_at, deadline_asked_at,
      timeout_ms, waiting_for, concurrency_key, priority, use_cache, plan_pins, parent_run_id, root_run_id, called_from, depth)
    values (${runId}, ${workspaceId}, ${plan.name}, ${plan.version}, ${plan.digest}, 'queued', ${jsonParameter(sql, input)}, ${sql.json(labels)}, ${actor}, ${responsible},
      ${sql.json(origin)}, ${currentRules}, ${times.startAt}, least(${times.deadlineAt}::timestamptz, ${parent?.deadlineAt ?? null}::timestamptz), ${times.deadlineAt}, ${times.timeoutMs},
      ${times.startAt === null ? null : sql.json({ ...waitsForItsTime(times.startAt) })}, ${bound?.key ?? null},
      ${request.priority ?? Number(plan.document.priority ?? defaultPriority)}, ${request.cache !== false}, ${planPins === null ? null : sql.json(planPins)}, ${parent?.runId ?? null},
      ${parent?.rootRunId ?? null}, ${parent?.calledFrom ?? null}, ${parent?.depth ?? 0})`.execute();
  await Promise.all([
    written,
    orderStart(sql, accept, plan, run, times),
    referToArtifacts(sql, workspaceId, runId, input),
    recordEvents(sql, [{ workspaceId, runId, type: 'run.accepted', data }]),
    recordAudit(sql, [{ workspaceId, actor, action: 'run.accept', subject: runId, data: { ...data, origin } }]),
  ]);
}

const namesInstant = ({ startAt, deadlineAt }: InsertRequest['request']): boolean => startAt !== undefined || deadlineAt !== undefined;

/** Instants are compared by one clock, which is the outbox's too. */
async function databaseTimeMs(sql: TransactionSql): Promise<number> {
  const [row] = await sql<{ nowMs: number }[]>`select (extract(epoch from clock_timestamp()) * 1000)::float8 as "nowMs"`;
  return row?.nowMs ?? Date.now();
}

/** At once, at its time, or when it is its turn: a run that starts later looks for a slot then, and holds up nobody until it does. */
async function orderStart(
  sql: TransactionSql,
  accept: InsertRequest,
  plan: PlanRow,
  { runId, bound, parent }: NewRun,
  { startAt, timeoutMs }: RunTimes,
): Promise<void> {
  const { workspaceId, actor } = accept;
  const order = { resume: false, carried: accept.carried === true, ...(accept.wrapper === undefined ? {} : { wrapper: accept.wrapper }) };
  // A run that a step starts looks for its slot in a transaction of its own: here the rows of its parent are held.
  if (startAt === null && bound !== null && parent === undefined) {
    const slot = await takeSlot(sql, { workspaceId, planName: plan.name, key: bound.key, rule: bound.rule, runId, actor, order });
    if (slot === 'waits') return;
  }
  if (startAt === null && timeoutMs !== null) await sql`update kos.runs set ${beginsNow(sql)} where id = ${runId}`;
  await sql`
    insert into kos.outbox (workspace_id, run_id, kind, payload, next_attempt_at)
    values (${workspaceId}, ${runId}, 'start', ${sql.json({ ...order, ...(startAt === null ? {} : { later: true }) })}, coalesce(${startAt}::timestamptz, clock_timestamp()))`;
}

const artifactIds = /art_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** An artifact that the input names stays as long as this run. */
async function referToArtifacts(sql: TransactionSql, workspaceId: string, runId: string, input: JsonObject): Promise<void> {
  const named = [...new Set(JSON.stringify(input).match(artifactIds) ?? [])];
  if (named.length === 0) return;
  await sql`
    insert into kos.artifact_references (workspace_id, artifact_id, run_id)
    select ${workspaceId}, id, ${runId} from kos.artifacts where id in ${sql(named)} for key share on conflict do nothing`;
}
