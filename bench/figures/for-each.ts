import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { countTraces } from '#cli/demo/traces.ts';
import type { Driver } from '../rig/driver.ts';
import { tracePlan } from '../rig/plans.ts';
import type { Stack } from '../rig/stack.ts';
import { type Figure, inMs, inRatio } from './figure.ts';

const reach = 1.2;
const eventsAtMost = 10_000;

export const forEach: Figure = {
  name: 'foreach',
  bound:
    'Each item: an activity, two transactions (intent, outcome) and a file that is flushed to disk. Windows of 500 keep every history short, so item 10,000 costs what the first did.',
  async measure({ stack, driver, quick, say }) {
    const count = quick ? 2_000 : 10_000;
    const plan = await driver.save(await tracePlan());
    const runId = await driver.start(plan, { count });
    await untilDone(driver, runId, count / 2);
    say(`… ${count / 2} of ${count} items done: SIGKILL`);
    const killedAt = await stack.killWorker();
    const run = await driver.ended(runId);
    const perItem = await itemTimes(driver, runId, count);
    const traces = await countTraces(join(stack.home, 'workspace', 'fan-out', runId), runId, count);
    const effects = await effectCounts(driver, runId);
    const longestHistory = await longestHistoryOf(stack, runId);
    const ratio = perItem.lastTenthMs / perItem.firstTenthMs;
    const exact = run.status === 'succeeded' && traces.exact === count && traces.foreign === 0 && effects.happened === count && effects.rows === count;
    return {
      lines: [
        {
          what: `${count} items in one forEach, worker killed half-way: time per item in the last tenth against the first`,
          ours: `${inMs(perItem.lastTenthMs)} : ${inMs(perItem.firstTenthMs)}, ${inRatio(ratio)}`,
          floor: 'its own first tenth',
          reach: `≤ ${inRatio(reach)}`,
          met: ratio <= reach,
        },
        {
          what: 'the same: effects',
          ours: `${traces.exact} of ${count} once, ${traces.missing} lost, ${traces.doubled} doubled; ${effects.calls - effects.rows} asked for again after the kill and found done`,
          floor: '–',
          reach: 'all once',
          met: exact,
        },
        {
          what: 'the same: longest history, events',
          ours: String(longestHistory),
          floor: '–',
          reach: `≤ ${eventsAtMost}`,
          met: longestHistory <= eventsAtMost,
        },
      ],
      details: { count, status: run.status, killedAt, perItem, ratio, traces, effects, longestHistory },
    };
  },
};

async function untilDone(driver: Driver, runId: string, count: number): Promise<void> {
  for (;;) {
    const [row] = await driver.query<{ done: number }>(
      (sql) => sql`select count(*)::int as done from kos.steps where run_id = ${runId} and item is not null and status = 'succeeded'`,
    );
    if ((row?.done ?? 0) >= count) return;
    await sleep(250);
  }
}

/** Milliseconds per item, by the order in which they ended. */
async function itemTimes(driver: Driver, runId: string, count: number): Promise<{ firstTenthMs: number; lastTenthMs: number; itemsPerSecond: number }> {
  const rows = await driver.query<{ startedMs: number; finishedMs: number }>(
    (sql) => sql`select (extract(epoch from started_at) * 1000)::float8 as "startedMs", (extract(epoch from finished_at) * 1000)::float8 as "finishedMs"
      from kos.steps where run_id = ${runId} and item is not null order by finished_at`,
  );
  const tenth = Math.floor(count / 10);
  const began = Math.min(...rows.slice(0, tenth).map((row) => row.startedMs));
  const ended = (index: number): number => rows[index]?.finishedMs ?? Number.NaN;
  return {
    firstTenthMs: (ended(tenth - 1) - began) / tenth,
    lastTenthMs: (ended(count - 1) - ended(count - tenth - 1)) / tenth,
    itemsPerSecond: (count * 1_000) / (ended(count - 1) - began),
  };
}

async function effectCounts(driver: Driver, runId: string): Promise<{ rows: number; happened: number; calls: number }> {
  const [row] = await driver.query<{ rows: number; happened: number; calls: number }>(
    (sql) =>
      sql`select count(*)::int as rows, count(*) filter (where status = 'happened')::int as happened, sum(calls)::int as calls from kos.effects where run_id = ${runId}`,
  );
  return row ?? { rows: 0, happened: 0, calls: 0 };
}

/** Of the run's workflow and of its windows, every execution of each. */
async function longestHistoryOf(stack: Stack, runId: string): Promise<number> {
  let longest = 0;
  for await (const execution of stack.floorClient.workflow.list({ query: "WorkflowType = 'planRun' OR WorkflowType = 'forEachWindow'", pageSize: 1_000 })) {
    if (execution.workflowId.startsWith(runId)) longest = Math.max(longest, execution.historyLength ?? 0);
  }
  return longest;
}
