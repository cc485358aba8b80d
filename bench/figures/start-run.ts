import { startOf } from '../rig/api.ts';
import { openLoop } from '../rig/open-loop.ts';
import { quantile } from '../rig/statistics.ts';
import { type ApiFigure, inMs, inP95, perSecond } from './figure.ts';

const reachMs = 30;

export const startRun: ApiFigure = {
  name: 'start-run',
  bound:
    'Processor time: every run takes some of Temporal, worker, Postgres and API, more of it at 50 a second than two cores have, so the answers compete with the work that they caused.',
  async measureApi({ api, quick }) {
    const loop = { perSecond, send: () => api.send(startOf(api.plan)) };
    await openLoop({ ...loop, seconds: 3 });
    await api.atRest();
    const spans = await openLoop({ ...loop, seconds: quick ? 5 : 30 });
    await api.atRest();
    const p95 = quantile(spans, 0.95);
    return {
      lines: [
        {
          what: `start of a run (1 kB of input) to 202, ${perSecond} starts/s in an open loop, the runs done meanwhile, p95`,
          ours: inP95(spans),
          floor: '–',
          reach: `≤ ${inMs(reachMs)}`,
          met: p95 <= reachMs,
        },
      ],
      details: { spans },
    };
  },
};
