import { createParser } from 'eventsource-parser';
import type { KosEvent } from '#schemas/event.ts';
import { recordEvents } from '#services/records/record.ts';
import type { Api } from '../rig/api.ts';
import { openEventStream } from '../rig/event-client.ts';
import { openLoop } from '../rig/open-loop.ts';
import { quantile } from '../rig/statistics.ts';
import { type ApiFigure, inMs, inP95, perSecond } from './figure.ts';

const reachMs = 100;
const patienceMs = 5_000;

export const event: ApiFigure = {
  name: 'event',
  bound:
    'The pace of the sequencer: it looks for unnumbered events every 20 ms while there is work; a commit of its own, a notice, and the read of each client follow.',
  async measureApi({ api, quick }) {
    await api.atRest();
    const [runId = ''] = await api.endedRuns(1);
    await delays(api, runId, 3);
    const spans = await delays(api, runId, quick ? 5 : 30);
    const p95 = quantile(spans, 0.95);
    return {
      lines: [
        {
          what: `event, from the commit of its transaction to a client (SSE), ${perSecond} transactions/s beside ${perSecond} reads/s, p95`,
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

/** From the instant at which the commit is sent, so that the commit itself is in it. */
async function delays(api: Api, runId: string, seconds: number): Promise<number[]> {
  const committedAt = new Map<number, number>();
  const spans: number[] = [];
  const all = Promise.withResolvers<void>();
  const parser = createParser({
    onEvent: ({ data, event: type }) => {
      if (type !== 'signal.received') return;
      const { place } = (JSON.parse(data) as KosEvent).data;
      spans.push(performance.now() - (committedAt.get(place as number) ?? Number.NaN));
      if (spans.length === perSecond * seconds) all.resolve();
    },
  });
  const stream = await openEventStream(api.credentials, '/v1/events');
  stream.answer.setEncoding('utf8').on('data', (text: string) => parser.feed(text));
  const commit = (place: number): Promise<void> =>
    api.database.inWorkspace(api.workspaceId, async ({ sql }) => {
      await recordEvents(sql, [{ workspaceId: api.workspaceId, runId, type: 'signal.received', data: { place } }]);
      committedAt.set(place, performance.now());
    });
  const timer = setTimeout(() => all.reject(new Error(`Of ${perSecond * seconds} events ${spans.length} have come.`)), seconds * 1_000 + patienceMs);
  try {
    const readRuns = openLoop({ perSecond, seconds, send: () => api.send({ method: 'GET', path: `/v1/runs/${runId}` }) });
    await Promise.all([openLoop({ perSecond, seconds, send: commit }), readRuns, all.promise]);
  } finally {
    clearTimeout(timer);
    stream.close();
  }
  return spans;
}
