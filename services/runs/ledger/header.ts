import type { Claim } from '#core/engine/claim.ts';
import type { JsonObject } from '#schemas/json.ts';
import { isFinalRunStatus, type RunStatus } from '#schemas/run.ts';
import type { TransactionSql } from '#services/database/connect.ts';
import { type EventRecord, recordedWithChange } from '#services/records/record.ts';

/** What never changes about a run: read once per worker and run. */
export interface RunFacts {
  runId: string;
  workspaceId: string;
  planName: string;
  planVersion: number;
  planDigest: string;
  input: JsonObject;
  responsible: string;
  /** Its steps may reuse outputs that were kept. */
  useCache: boolean;
  /** The run whose step started this one. */
  parentRunId: string | null;
}

/** Of a run, what every write must look at first. */
export interface RunHeader {
  status: RunStatus;
  generation: number;
  claimedBy: string | null;
  cancelRequested: boolean;
  startedAt: Date | null;
  controlVersion: number;
  rules: number;
  priority: number;
}

/** The run is paused: nothing new starts. What was on its way is not begun, and nothing of it is written. */
export class HeldByPause extends Error {
  readonly controlVersion: number;

  constructor(runId: string, controlVersion: number) {
    super(`The run ${runId} is paused.`);
    this.name = 'HeldByPause';
    this.controlVersion = controlVersion;
  }
}

/** The run is closed, or another generation or chain works on it: whoever learns this has nothing more to do. */
export class Superseded extends Error {
  constructor(claim: Claim) {
    super(`The run ${claim.runId} is no longer this workflow's (generation ${claim.generation}).`);
    this.name = 'Superseded';
  }
}

export async function readHeader(sql: TransactionSql, claim: Claim): Promise<RunHeader> {
  const [row] = await sql<RunHeader[]>`
    select status, generation, claimed_by as "claimedBy", cancel_requested_at is not null as "cancelRequested", started_at as "startedAt", control_version as "controlVersion", rules, priority
    from kos.runs where id = ${claim.runId}`;
  if (row === undefined) throw new Superseded(claim);
  return row;
}

export function assertClaim(header: RunHeader, claim: Claim): void {
  const mine = header.generation === claim.generation && (header.claimedBy === null || header.claimedBy === claim.chain);
  if (!mine || isFinalRunStatus(header.status)) throw new Superseded(claim);
}

/** For whatever begins something new. */
export function assertNotPaused(header: RunHeader, claim: Claim): void {
  if (header.status === 'paused') throw new HeldByPause(claim.runId, header.controlVersion);
}

/**
 * The first work of a run claims it and moves it to `running`; work after a wait moves it back. Compare-and-set: of two claims one wins, and of several activities that
 * begin at once only one tells that the run has started.
 */
export async function markWorking(sql: TransactionSql, claim: Claim, header: RunHeader): Promise<Date> {
  const atWork = header.status === 'running' || header.status === 'paused';
  if (atWork && header.claimedBy !== null && header.startedAt !== null) return header.startedAt;
  const { workspaceId, runId } = claim;
  const event = (type: 'run.started' | 'run.resumed'): EventRecord[] => [{ workspaceId, runId, type, data: {} }];
  const first = header.startedAt === null;
  const told = recordedWithChange(sql, {
    events: first ? event('run.started') : header.status === 'waiting' ? event('run.resumed') : [],
    audit: first ? { workspaceId, actor: 'kos', action: 'run.start', subject: runId, data: { generation: claim.generation } } : null,
  });
  const [row] = await sql<{ startedAt: Date }[]>`
    with changed as (
      update kos.runs set status = 'running', waiting_for = null, claimed_by = ${claim.chain}, started_at = coalesce(started_at, clock_timestamp())
      where id = ${runId} and generation = ${claim.generation} and (claimed_by is null or claimed_by = ${claim.chain}) and status in ('queued', 'running', 'waiting')
        and status = ${header.status} and (started_at is null) = ${first}
      returning started_at)${told}
    select started_at as "startedAt" from changed`;
  if (row !== undefined) return row.startedAt;
  const meanwhile = await readHeader(sql, claim);
  assertClaim(meanwhile, claim);
  return meanwhile.status === 'paused' ? await markPausedAtWork(sql, claim) : await markWorking(sql, claim, meanwhile);
}

/** It was paused since its header was read: what is under way is finished, and the run stays paused. */
async function markPausedAtWork(sql: TransactionSql, claim: Claim): Promise<Date> {
  const [row] = await sql<{ startedAt: Date }[]>`
    update kos.runs set claimed_by = ${claim.chain}, started_at = coalesce(started_at, clock_timestamp())
    where id = ${claim.runId} and generation = ${claim.generation} and (claimed_by is null or claimed_by = ${claim.chain}) and status = 'paused'
    returning started_at as "startedAt"`;
  if (row === undefined) throw new Superseded(claim);
  return row.startedAt;
}

/** `commit` is sent right behind: the transaction reads nothing else. */
export async function readFacts(sql: TransactionSql, claim: Claim, commit: () => void): Promise<RunFacts> {
  const query = sql<Omit<RunFacts, 'runId' | 'workspaceId'>[]>`
    select plan_name as "planName", plan_version as "planVersion", plan_digest as "planDigest", input, responsible, use_cache as "useCache", parent_run_id as "parentRunId" from kos.runs where id = ${claim.runId}`.execute();
  commit();
  const [row] = await query;
  if (row === undefined) throw new Superseded(claim);
  return { runId: claim.runId, workspaceId: claim.workspaceId, ...row };
}
