import { linearPlan, payload } from '../rig/plans.ts';
import { median, quantile } from '../rig/statistics.ts';
import { type Figure, inMs } from './figure.ts';

const reachMs = 100;

export const firstStep: Figure = {
  name: 'first-step',
  bound:
    'Three commits in a row: acceptance in Postgres, the start of the workflow and its first workflow task in Temporal; the outbox between them is nudged, not polled.',
  async measure({ driver, quick }) {
    const plan = await driver.save(linearPlan(1));
    const spans: number[] = [];
    for (let index = -20; index < (quick ? 40 : 100); index += 1) {
      const runId = await driver.start(plan, { payload });
      await driver.ended(runId);
      // By the database's clock, and from the begin of the transaction that accepted the run.
      const [row] = await driver.query<{ spanMs: number }>(
        (sql) =>
          sql`select (extract(epoch from min(s.started_at) - min(r.created_at)) * 1000)::float8 as "spanMs" from kos.runs r join kos.steps s on s.run_id = r.id where r.id = ${runId}`,
      );
      if (index >= 0 && row !== undefined) spans.push(row.spanMs);
    }
    const p95 = quantile(spans, 0.95);
    return {
      lines: [
        {
          what: 'accepted start → first step begun, warm, p95',
          ours: `${inMs(p95)} (median ${inMs(median(spans))})`,
          floor: '–',
          reach: `≤ ${inMs(reachMs)}`,
          met: p95 <= reachMs,
        },
      ],
      details: { p95, median: median(spans), spans },
    };
  },
};
