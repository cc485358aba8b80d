import { setTimeout as sleep } from 'node:timers/promises';
import { permissionsOfRoles } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import { decideApproval } from '#services/approvals/decide.ts';
import { workerTuning } from '#workers/create-worker.ts';
import { repeatedly } from '../rig/driver.ts';
import { parkedPlan, payload } from '../rig/plans.ts';
import { readMemory } from '../rig/processes.ts';
import { median, quantile } from '../rig/statistics.ts';
import { type BenchContext, type Figure, inMegabytes, inMs } from './figure.ts';

const reachMs = 150;
const roles = ['owner'] as const;
/** Two measurements of an idle worker differ by this much. */
const noiseBytes = 15_000_000;

export const parked: Figure = {
  name: 'parked',
  bound:
    'Outbox and Signal, two workflow tasks (the Signal; the settled wait) and two activities (look at the decision; the step). An evicted workflow is replayed first.',
  async measure(context) {
    const { driver, stack, quick, say } = context;
    const runs = quick ? 400 : 1_000;
    const before = quick ? 100 : 600;
    const plan = await driver.save(parkedPlan);
    const ids: string[] = [];
    const parkOne = async (): Promise<string> => {
      const runId = await driver.start(plan, { payload });
      await untilParked(context, runId);
      return runId;
    };
    const park = async (): Promise<void> => {
      ids.push(await parkOne());
    };
    // A worker grows by some 70 MB in its first hundreds of runs, whatever becomes of them: code that is compiled, pools that are filled. That is not what is asked.
    await repeatedly(before, 10, async () => void (await decideMs(context, await parkOne())));
    // As many as the worker keeps: from here on, each further one takes the place of another.
    await repeatedly(workerTuning.maxCachedWorkflows, 10, park);
    const full = await settledMemory(stack.workerPid());
    await repeatedly(runs - ids.length, 10, park);
    const all = await settledMemory(stack.workerPid());
    say(`… ${ids.length} runs are parked`);
    const spans: number[] = [];
    const every = Math.floor(runs / (quick ? 60 : 200));
    for (let index = 0; index < ids.length; index += every) spans.push(await decideMs(context, ids[index] ?? ''));
    const p95 = quantile(spans, 0.95);
    return {
      lines: [
        {
          what: `${runs.toLocaleString('en')} runs parked on approvals: decide → next step begun, p95`,
          ours: `${inMs(p95)} (median ${inMs(median(spans))})`,
          floor: '–',
          reach: `≤ ${inMs(reachMs)}`,
          met: p95 <= reachMs,
        },
        {
          what: `worker's memory, warm: ${workerTuning.maxCachedWorkflows} parked runs (its cache), then ${runs.toLocaleString('en')}`,
          ours: `${inMegabytes(full)} → ${inMegabytes(all)}`,
          floor: '–',
          reach: 'none beyond the cache',
          met: all - full <= noiseBytes,
        },
      ],
      details: { runs, p95, median: median(spans), spans, fullBytes: full, allBytes: all },
    };
  },
};

async function untilParked({ driver }: BenchContext, runId: string): Promise<void> {
  for (;;) {
    const rows = await driver.query<{ status: string }>((sql) => sql`select status from kos.runs where id = ${runId}`);
    if (rows[0]?.status === 'waiting') return;
    await sleep(20);
  }
}

async function settledMemory(pid: number): Promise<number> {
  await sleep(5_000);
  return (await readMemory(pid))?.pssBytes ?? 0;
}

/** By the database's clock, from the begin of the transaction that decides. */
async function decideMs({ driver, stack }: BenchContext, runId: string): Promise<number> {
  const { workspaceId, principalId } = stack.owner;
  const principal: Principal = {
    principalId,
    name: 'bench',
    workspaceId,
    credentialId: 'bench',
    responsible: principalId,
    roles,
    permissions: permissionsOfRoles(roles),
    via: 'owner_key',
    scopes: null,
    installationRole: null,
  };
  const [open] = await driver.query<{ id: string; digest: string }>(
    (sql) => sql`select id, arguments_digest as digest from kos.approvals where run_id = ${runId} and status = 'open'`,
  );
  if (open === undefined) throw new Error(`The run ${runId} waits for nobody.`);
  await stack.database.inWorkspace(workspaceId, (transaction) =>
    decideApproval(transaction, principal, open.id, { decision: 'approve', argumentsDigest: open.digest }),
  );
  stack.duties.nudgeOutbox();
  await driver.ended(runId);
  const [row] = await driver.query<{ spanMs: number }>(
    (sql) => sql`
      select (extract(epoch from s.started_at - a.decided_at) * 1000)::float8 as "spanMs"
      from kos.approvals a join kos.steps s on s.run_id = a.run_id and s.path = 'after' where a.id = ${open.id}`,
  );
  return row?.spanMs ?? Number.NaN;
}
