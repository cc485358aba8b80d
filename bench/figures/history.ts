import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { environment, projectRoot } from '#config';
import type { RunHistory } from '#schemas/history.ts';
import { createSealing } from '#services/sealing/sealing.ts';
import { createDataConverter } from '#services/temporal/data-converter.ts';
import { workerProgram } from '#workers/supervisor/programs.ts';
import type { Api } from '../rig/api.ts';
import { openLoop } from '../rig/open-loop.ts';
import { fanOutPlan } from '../rig/plans.ts';
import { startProgram } from '../rig/program.ts';
import { quantile } from '../rig/statistics.ts';
import { type ApiFigure, inMs, inP95, perSecond } from './figure.ts';

const pageOf = 200;
const reachMs = 100;
const pagesPerSecond = 2;
const items = 100;

export const history: ApiFigure = {
  name: 'history',
  bound: 'Temporal reads the page from its store; each event is decoded, its payloads opened, and shown as JSON.',
  async measureApi({ api, quick, say }) {
    const events = quick ? 4_000 : 20_000;
    const runId = await runWithLongHistory(api, events);
    say('… the history is made');
    const path = `/v1/runs/${runId}/history?limit=${pageOf}`;
    const page = await api.ask<RunHistory>({ method: 'GET', path });
    const newest = page.items[0]?.id ?? 0;
    const seconds = quick ? 5 : 30;
    const readPages = (lasting: number) => openLoop({ perSecond: pagesPerSecond, seconds: lasting, send: () => api.send({ method: 'GET', path }) });
    await readPages(3);
    const readRuns = openLoop({ perSecond, seconds, send: () => api.send({ method: 'GET', path: `/v1/runs/${runId}` }) });
    const [spans] = await Promise.all([readPages(seconds), readRuns]);
    const p95 = quantile(spans, 0.95);
    return {
      lines: [
        {
          what: `newest ${page.items.length} of ${newest.toLocaleString('en')} events in Temporal’s history of a run, payloads opened, ${pagesPerSecond} pages/s beside ${perSecond} reads/s, p95`,
          ours: inP95(spans),
          floor: '–',
          reach: `≤ ${inMs(reachMs)}`,
          met: p95 <= reachMs && newest >= events && page.items.length === pageOf,
        },
      ],
      details: { newest, spans },
    };
  },
};

/** Our own workflows go on as new ones long before: under the id of a run with items, one by hand has the events, sealed as the worker seals. */
async function runWithLongHistory(api: Api, events: number): Promise<string> {
  const { home } = api.installation;
  const { address, namespace } = api.facts.temporal;
  const runId = await api.run(await api.save(fanOutPlan(items, 'none')));
  const keys = join(home, 'keys');
  const taskQueue = 'long-history';
  const worker = await startProgram({
    name: 'worker of the long history',
    args: [...workerProgram.nodeOptions, join(projectRoot, 'bench', 'floor', 'worker.ts'), address, namespace, taskQueue, keys],
    env: environment,
    ready: 'floor: polling',
  });
  const connection = await Connection.connect({ address });
  try {
    const sealing = await createSealing({ directory: keys, purpose: 'payload' });
    const client = new Client({ connection, namespace, dataConverter: createDataConverter({ sealing, namespace, refuse: 'throw' }) });
    await client.workflow.execute('rounds', { taskQueue, workflowId: runId, args: [events, items] });
  } finally {
    await connection.close();
    await worker.stop();
  }
  return runId;
}
