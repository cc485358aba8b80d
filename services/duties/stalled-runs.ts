import { setTimeout as sleep } from 'node:timers/promises';
import type { WaitingFor } from '#schemas/run.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import type { RunWorkflows } from '#services/temporal/run-workflows.ts';
import { countWorkers } from '#services/workers/presence.ts';

/** Runs asked about in one round: what fails fails for many, and the rest has its turn in the next rounds. */
const asked = 50;
const quietAfterSeconds = 30;
/** The first attempt may be lost with a worker; the third one tells of code that does not fit the history. */
const failingFromAttempt = 3;

const noWorker: WaitingFor = { kind: 'worker', ref: null, until: null, text: 'No worker polls the queue: nothing runs until one does.' };

const failingTask = (attempt: number): WaitingFor => ({
  kind: 'engine',
  ref: null,
  until: null,
  text: `The run's workflow task is tried again and again (attempt ${attempt}): its worker does not answer, or its code does not fit the history: see the worker's log.`,
});

/** A run that stands still must say why on its own row: no worker polls, or its workflow task fails. Takes the reason back when it is over. */
export async function tellStalledRuns(options: { system: SystemDatabase; workflows: RunWorkflows }): Promise<void> {
  const { sql } = options.system;
  if (!(await isAnyWorkerThere(options))) {
    await sql`update kos.runs set waiting_for = ${sql.json(noWorker)} where status in ('queued', 'running') and waiting_for is null`;
    return;
  }
  await sql`update kos.runs set waiting_for = null where status in ('queued', 'running') and waiting_for->>'kind' = 'worker'`;
  await tellFailingTasks(options);
}

/** A worker that was lost just now is being started again: only one that stays away is told of. */
const backWithinMs = 4_000;

async function isAnyWorkerThere({ system, workflows }: { system: SystemDatabase; workflows: RunWorkflows }): Promise<boolean> {
  if ((await countWorkers(system.sql, workflows)) > 0) return true;
  await sleep(backWithinMs);
  return (await countWorkers(system.sql, workflows)) > 0;
}

async function tellFailingTasks({ system, workflows }: { system: SystemDatabase; workflows: RunWorkflows }): Promise<void> {
  const { sql } = system;
  const quiet = await sql<{ id: string; told: boolean }[]>`
    select r.id, r.waiting_for is not null as told from kos.runs r
    where r.status = 'running' and (r.waiting_for is null or r.waiting_for->>'kind' = 'engine')
      and coalesce((select max(e.at) from kos.events e where e.run_id = r.id), r.created_at) < clock_timestamp() - make_interval(secs => ${quietAfterSeconds})
    order by random() limit ${asked}`;
  for (const run of quiet) {
    const attempt = (await workflows.describe(run.id))?.workflowTaskAttempt ?? 0;
    if (attempt >= failingFromAttempt)
      await sql`update kos.runs set waiting_for = ${sql.json(failingTask(attempt))} where id = ${run.id} and status = 'running'`;
    else if (run.told) await sql`update kos.runs set waiting_for = null where id = ${run.id} and status = 'running' and waiting_for->>'kind' = 'engine'`;
  }
}
