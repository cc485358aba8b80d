import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readPartFacts } from '#services/embedded/part.ts';
import { itemsIn, keyOf, placesIn } from '#services/runs/step-places.ts';
import { createSealing } from '#services/sealing/sealing.ts';
import type { HistoryPlace } from '#services/temporal/history-door.ts';
import { connectRunWorkflows, type ExecutionFacts, type RunWorkflows } from '#services/temporal/run-workflows.ts';
import { isFinalRunStatus, type StepStatus } from '#schemas/run.ts';
import type { Installation } from './installation.ts';
import type { LongLoad } from './long-load.ts';
import type { Arrival, Sink } from './sink.ts';

export interface StepFacts {
  path: string;
  /** As workflows name it: by its number, and that of its item. */
  place: string;
  status: StepStatus;
  attempt: number;
  /** The step whose effect it takes back; null: none. */
  undoes: string | null;
  /** Microseconds since 1970; null: it has not ended. */
  finishedAt: number | null;
  reused: boolean;
}

/** A run as it stands in Postgres. */
export interface RunFacts {
  id: string;
  status: string;
  error: string | null;
  /** Microseconds since 1970. */
  createdAt: number;
  startedAt: number | null;
  finishedAt: number | null;
  /** Events that say that it was accepted, and that it ended. */
  accepted: number;
  ends: number;
  /** Steps with more than one event of success. */
  twice: number;
  /** 1, and one more whenever it was reopened. */
  generation: number;
  /** Where a step called it: `inner[0]`; null: it was started from outside. */
  calledFrom: string | null;
  /** The chain of executions in Temporal that works on it. */
  claimedBy: string | null;
  steps: StepFacts[];
  effects: { path: string; status: string; calls: number }[];
  /** Steps that were uncertain at some time. */
  uncertain: number;
}

/** A run as Temporal has it on record. */
export interface Recorded {
  status: ExecutionFacts['status'];
  chain: string;
  /** Steps that it has had worked on. */
  places: string[];
  /** Activities that it has begun and not seen done. */
  undone: number;
}

/** A load's run first, then those that its steps started; what Temporal says of each; what the sink has seen. */
export interface LongFacts {
  runs: RunFacts[];
  /** Null: Temporal knows nothing of it. */
  recorded: Map<string, Recorded | null>;
  arrivals: Arrival[];
}

/** Counted in the world, in the database and in Temporal, not asked of kOS. */
export async function readLongFacts(installation: Installation, sink: Sink, loads: readonly LongLoad[]): Promise<LongFacts[]> {
  const workflows = await openTemporal(installation);
  try {
    const facts: LongFacts[] = [];
    for (const { runId, prefix } of loads) {
      const runs = [...(await readFamily(installation, runId))];
      const recorded = new Map<string, Recorded | null>();
      for (const { id } of runs) recorded.set(id, await readRecorded(workflows, id));
      facts.push({ runs, recorded, arrivals: sink.arrivals(prefix) });
    }
    return facts;
  } finally {
    await workflows.close();
  }
}

async function readRecorded(workflows: RunWorkflows, runId: string): Promise<Recorded | null> {
  const execution = await workflows.describe(runId);
  if (execution === null) return null;
  const places = new Set<string>();
  let undone = 0;
  for (let place: HistoryPlace | null = null; ; ) {
    const page = await workflows.history.page(runId, place, historyPage);
    for (const { type, attributes } of page?.events ?? []) {
      // A quick unit, and a batch of quick items, leaves a marker where others leave an activity.
      if (type === 'EVENT_TYPE_ACTIVITY_TASK_SCHEDULED' || type === 'EVENT_TYPE_MARKER_RECORDED')
        for (const named of [...placesIn(attributes), ...itemsIn(attributes)]) places.add(keyOf(named));
      undone += type === 'EVENT_TYPE_ACTIVITY_TASK_SCHEDULED' ? 1 : type === 'EVENT_TYPE_ACTIVITY_TASK_COMPLETED' ? -1 : 0;
    }
    place = page?.next ?? null;
    if (place === null) return { status: execution.status, chain: execution.chain, places: [...places], undone };
  }
}

const historyPage = 500;

const readFamily = async (installation: Installation, runId: string): Promise<readonly RunFacts[]> =>
  await installation.query<RunFacts>(
    (sql) => sql`
    select r.id, r.status, r.error->>'code' as error, r.claimed_by as "claimedBy", r.generation, r.called_from as "calledFrom", (extract(epoch from r.created_at) * 1e6)::float8 as "createdAt",
      (extract(epoch from r.started_at) * 1e6)::float8 as "startedAt", (extract(epoch from r.finished_at) * 1e6)::float8 as "finishedAt",
      (select count(*)::int from kos.events where run_id = r.id and type = 'run.accepted') as accepted,
      (select count(*)::int from kos.events where run_id = r.id and type in ('run.succeeded', 'run.failed', 'run.cancelled', 'run.terminated')) as ends,
      (select count(*)::int from (select 1 from kos.events where run_id = r.id and type = 'step.succeeded' group by data->>'stepPath' having count(*) > 1) t) as twice,
      (select count(distinct v.data->>'stepPath')::int from kos.events v join kos.effects e on e.key = r.id || '/' || (v.data->>'stepPath')
        where v.run_id = r.id and v.type = 'step.uncertain') as uncertain,
      (select coalesce(jsonb_agg(jsonb_build_object('path', s.path, 'place', s.step || ':' || coalesce(s.item::text, ''), 'status', s.status, 'attempt', s.attempt, 'undoes', s.undoes,
        'finishedAt', (extract(epoch from s.finished_at) * 1e6)::float8, 'reused', s.metadata ? 'reusedFrom')), '[]') from kos.steps s where s.run_id = r.id) as steps,
      (select coalesce(jsonb_agg(jsonb_build_object('path', e.step_path, 'status', e.status, 'calls', e.calls)), '[]') from kos.effects e where e.run_id = r.id) as effects
    from kos.runs r where r.id = ${runId} or r.root_run_id = ${runId} order by r.depth, r.id`,
  );

/** Visibility is a second or so behind. */
const visibleWithinMs = 10_000;

/** Workflows of runs that go on in Temporal though Postgres says that the run has ended. */
export async function workflowsWithoutEnd(installation: Installation): Promise<string[]> {
  const workflows = await openTemporal(installation);
  try {
    for (const until = performance.now() + visibleWithinMs; ; await sleep(500)) {
      const found = await findWithoutEnd(installation, workflows);
      if (found.length === 0 || performance.now() > until) return found;
    }
  } finally {
    await workflows.close();
  }
}

async function findWithoutEnd(installation: Installation, workflows: RunWorkflows): Promise<string[]> {
  const running: string[] = [];
  for await (const id of workflows.listRunning('planRun')) running.push(id);
  if (running.length === 0) return [];
  const rows = await installation.query<{ id: string; status: string }>((sql) => sql`select id, status from kos.runs where id in ${sql(running)}`);
  return running.filter((id) => isFinalRunStatus(rows.find((row) => row.id === id)?.status ?? 'succeeded'));
}

async function openTemporal({ home }: Installation): Promise<RunWorkflows> {
  const { temporal } = await readPartFacts(join(home, 'run', 'part-facts.json'));
  const sealing = await createSealing({ directory: join(home, 'keys'), purpose: 'payload' });
  return connectRunWorkflows({ ...temporal, sealing });
}
