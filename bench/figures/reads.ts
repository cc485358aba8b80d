import type { Api } from '../rig/api.ts';
import { openLoop } from '../rig/open-loop.ts';
import { type ApiFigure, inMs, inP95, perSecond } from './figure.ts';
import { quantile } from '../rig/statistics.ts';

const reachMs = 10;
const runs = 100;
const pageOf = 50;

export const reads: ApiFigure = {
  name: 'reads',
  bound:
    'Processor time of the API’s process (who asks, rate limits, rows to JSON) and of Postgres, in one round trip: a request asks the database for nothing but its rows.',
  async measureApi({ api, quick }) {
    const ids = await api.endedRuns(runs);
    await api.atRest();
    const seconds = quick ? 5 : 30;
    const list = await latencies(api, seconds, () => `/v1/runs?limit=${pageOf}`);
    const detail = await latencies(api, seconds, (index) => `/v1/runs/${ids[index % ids.length]}`);
    const { length: listBytes } = Buffer.from(JSON.stringify(await api.ask({ method: 'GET', path: `/v1/runs?limit=${pageOf}` })));
    const line = (what: string, spans: number[]) => ({
      what: `${what}, ${perSecond} requests/s in an open loop, p95`,
      ours: inP95(spans),
      floor: '–',
      reach: `≤ ${inMs(reachMs)}`,
      met: quantile(spans, 0.95) <= reachMs,
    });
    return {
      lines: [line(`list of ${pageOf} runs (${Math.round(listBytes / 1_000)} kB)`, list), line('one run', detail)],
      details: { listBytes, list, detail },
    };
  },
};

async function latencies(api: Api, seconds: number, pathOf: (index: number) => string): Promise<number[]> {
  const loop = { perSecond, send: (index: number) => api.send({ method: 'GET', path: pathOf(index) }) };
  await openLoop({ ...loop, seconds: 3 });
  return openLoop({ ...loop, seconds });
}
