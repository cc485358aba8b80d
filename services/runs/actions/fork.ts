import { allowsAction, type RunAction } from '#core/policy/run-actions.ts';
import { type Fork, planFork } from '#core/plan/fork.ts';
import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { ReplayRun, Run, StepStatus } from '#schemas/run.ts';
import type { PlanShape } from '#schemas/shape.ts';
import type { Database, Transaction, TransactionSql } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import type { AcceptRequest } from '../accept.ts';
import { readRun, runNotFound } from '../read.ts';

export interface ForkDependencies {
  database: Database;
  acceptRun: (request: AcceptRequest) => Promise<{ runId: string }>;
}

export interface RerunRequest extends Pick<ReplayRun, 'labels' | 'cache' | 'startAt' | 'deadlineAt' | 'timeoutMs' | 'priority'> {
  principal: Pick<Principal, 'workspaceId' | 'principalId' | 'responsible'>;
  /** The run to begin again from. */
  runId: string;
  /** Absent: that run's own. */
  input?: JsonObject | undefined;
  reason: string | null;
  alsoInTransaction?: (transaction: Transaction, made: Rerun) => Promise<void>;
}

/** The run that was made; of a fork also which steps it carries over and which run again. */
export interface Rerun {
  runId: string;
  carried?: string[];
  again?: string[];
}

/** A new run of the same plan version. Throws what accepting a run throws. */
export async function replayRun(dependencies: ForkDependencies, request: RerunRequest): Promise<Rerun> {
  const source = await readSource(dependencies, 'replay', request);
  return await acceptAgain(dependencies, request, { source, version: source.plan.version, fork: null });
}

/** A new run that begins at a step: what ended well and does not depend on it is carried over by reference. Throws what `planFork` and accepting a run throw. */
export async function forkRun(dependencies: ForkDependencies, request: RerunRequest & { from: string; version?: number | undefined }): Promise<Rerun> {
  const source = await readSource(dependencies, 'fork', request);
  const version = request.version ?? source.plan.version;
  const fork = await dependencies.database.inWorkspace(request.principal.workspaceId, async ({ sql }) => {
    const [before, now] = await Promise.all([readVersion(sql, source.plan.name, source.plan.version), readVersion(sql, source.plan.name, version)]);
    const statuses = await readStatuses(sql, source.id);
    return planFork({ runId: source.id, source: before, target: now, statuses, from: request.from });
  });
  return await acceptAgain(dependencies, request, { source, version, fork });
}

async function readSource({ database }: ForkDependencies, action: RunAction, { principal, runId }: RerunRequest): Promise<Run> {
  const source = await database.inWorkspace(principal.workspaceId, (transaction) => readRun(transaction, runId));
  allowsAction(action, { runId, status: source.status, cancelRequested: source.cancelRequestedAt !== null });
  return source;
}

interface Origin {
  source: Run;
  version: number;
  /** Null: nothing is carried over. */
  fork: Fork | null;
}

async function acceptAgain({ acceptRun, database }: ForkDependencies, request: RerunRequest, { source, version, fork }: Origin): Promise<Rerun> {
  const { workspaceId, principalId, responsible } = request.principal;
  const { startAt, deadlineAt } = request;
  const timeoutMs = request.timeoutMs ?? (await readOwnTimeout(database, workspaceId, source.id));
  const kind = fork === null ? 'replay' : 'fork';
  const lists = fork === null ? {} : { carried: fork.carried, again: fork.again };
  const { runId } = await acceptRun({
    workspaceId,
    actor: principalId,
    responsible,
    origin: { kind, id: source.id },
    request: {
      plan: `${source.plan.name}@${version}`,
      input: request.input ?? source.input,
      labels: { ...source.labels, ...request.labels },
      cache: request.cache ?? source.cache,
      priority: request.priority ?? source.priority,
      startAt,
      deadlineAt,
      timeoutMs,
    },
    carried: fork !== null,
    alsoInTransaction: async (transaction, made) => {
      if (fork !== null) await carryOver(transaction.sql, { workspaceId, from: source.id, to: made, fork });
      const data = { of: source.id, reason: request.reason, ...lists };
      await recordAudit(transaction.sql, [{ workspaceId, actor: principalId, action: `run.${kind}`, subject: made, data }]);
      await request.alsoInTransaction?.(transaction, { runId: made, ...lists });
    },
  });
  return { runId, ...lists };
}

/** The bound that a run's start named in place of its plan's: a duration, so that it fits the next run, too. Undefined: it named none. */
async function readOwnTimeout(database: Database, workspaceId: string, runId: string): Promise<number | undefined> {
  const [run] = await database.inWorkspace(
    workspaceId,
    ({ sql }) => sql<{ timeoutMs: number | null }[]>`
      select case when r.timeout_ms is distinct from (v.shape->>'timeoutMs')::bigint then r.timeout_ms::float8 end as "timeoutMs"
      from kos.runs r join kos.plan_versions v on v.workspace_id = r.workspace_id and v.name = r.plan_name and v.version = r.plan_version where r.id = ${runId}`,
  );
  return run?.timeoutMs ?? undefined;
}

async function readVersion(sql: TransactionSql, name: string, version: number): Promise<{ reference: string; document: JsonObject; shape: PlanShape }> {
  const [row] = await sql<{ document: JsonObject; shape: PlanShape }[]>`
    select document, shape from kos.plan_versions where name = ${name} and version = ${version}`;
  if (row !== undefined) return { reference: `${name}@${version}`, ...row };
  throw new KosError({ code: 'plan_not_found', message: `There is no plan "${name}@${version}" in this workspace.`, fix: `kai plan get ${name}`, status: 404 });
}

async function readStatuses(sql: TransactionSql, runId: string): Promise<Map<string, StepStatus | 'tolerated'>> {
  const rows = await sql<{ path: string; status: StepStatus; tolerated: boolean }[]>`
    select path, status, metadata->>'tolerated' = 'true' as tolerated from kos.steps where run_id = ${runId} and item is null and iteration is null and undoes is null`;
  return new Map(rows.map(({ path, status, tolerated }) => [path, status === 'failed' && tolerated ? 'tolerated' : status]));
}

interface CarryOver {
  workspaceId: string;
  from: string;
  to: string;
  fork: Fork;
}

/**
 * Rows of steps with their outcome; outputs and artifacts by reference, so that they stay as long as either run does. The run they come from is not deleted
 * meanwhile. Throws KosError `run_not_found` when it has been, `fork_overtaken` when the carried steps are no longer what the fork was planned with.
 */
async function carryOver(sql: TransactionSql, { workspaceId, from, to, fork }: CarryOver): Promise<void> {
  const { carried, numbers } = fork;
  if (carried.length === 0) return;
  const kept = await sql`select from kos.runs where id = ${from} for key share`;
  if (kept.count === 0) throw runNotFound(from);
  const { count } = await sql`
    insert into kos.steps (workspace_id, run_id, path, step, kind, status, attempt, fence, input, output, output_id, error, started_at, finished_at, metadata)
    select workspace_id, ${to}, path, (${sql.json(numbers)}::jsonb->>path)::int, kind, status, attempt, 1, input, output, output_id, error, started_at, finished_at,
      metadata || ${sql.json({ carriedFrom: from })}::jsonb
    from kos.steps where run_id = ${from} and item is null and iteration is null and undoes is null and path in ${sql(carried)}
      and (status in ('succeeded', 'skipped') or (status = 'failed' and metadata->>'tolerated' = 'true'))`;
  if (count !== carried.length) throw overtaken(from);
  await sql`
    insert into kos.output_references (workspace_id, output_id, run_id)
    select distinct ${workspaceId}, output_id, ${to} from kos.steps where run_id = ${to} and output_id is not null on conflict do nothing`;
  await sql`
    insert into kos.artifact_references (workspace_id, artifact_id, run_id)
    select ${workspaceId}, r.artifact_id, ${to} from kos.artifact_references r join kos.artifacts a on a.id = r.artifact_id
    where r.run_id = ${from} and (a.run_id <> ${from} or split_part(split_part(a.step_path, '[', 1), '#', 1) in ${sql(carried)}) on conflict do nothing`;
}

const overtaken = (runId: string): KosError =>
  new KosError({
    code: 'fork_overtaken',
    message: `The run ${runId} went on, or was changed by hand, while it was forked: steps that were to be carried over are no longer what they were. Nothing was started.`,
    fix: `See where it stands, and fork again: kai run get ${runId}`,
    status: 409,
  });
