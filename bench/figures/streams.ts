import { setTimeout as sleep } from 'node:timers/promises';
import { type Api, startApi } from '../rig/api.ts';
import { repeatedly } from '../rig/driver.ts';
import { openEventStream } from '../rig/event-client.ts';
import { openLoop } from '../rig/open-loop.ts';
import { readMemory } from '../rig/processes.ts';
import { inMegabytes, type InstallationFigure, perSecond } from './figure.ts';

const clients = 1_000;
const reachBytes = 60_000_000;

export const streams: InstallationFigure = {
  name: 'streams',
  bound: 'A socket, an HTTP request and answer, and the call of its route, for each client.',
  async measureInstallation({ quick }) {
    const api = await startApi();
    const open: { close: () => void }[] = [];
    try {
      await warmUp(api);
      await sleep(quick ? 10_000 : 30_000);
      const before = await memoryOf(api);
      await repeatedly(clients, 10, async () => open.push(await openEventStream(api.credentials, '/v1/events')));
      // Heartbeats go out every 15 s.
      await sleep(quick ? 20_000 : 60_000);
      const after = await memoryOf(api);
      return {
        lines: [
          {
            what: `memory of the API's process (PSS) for ${clients.toLocaleString('en')} idle clients of the event stream`,
            ours: `${inMegabytes(after - before)} (${inMegabytes(before)} → ${inMegabytes(after)})`,
            floor: '–',
            reach: `≤ ${inMegabytes(reachBytes)}`,
            met: after - before <= reachBytes,
          },
        ],
        details: { before, after },
      };
    } finally {
      for (const stream of open) stream.close();
      await api.stop();
    }
  },
};

/** What answering at all keeps is not the clients'. */
async function warmUp(api: Api): Promise<void> {
  await openLoop({ perSecond, seconds: 5, send: () => api.send({ method: 'GET', path: '/v1/runs?limit=50' }) });
  for (let index = 0; index < 20; index += 1) (await openEventStream(api.credentials, '/v1/events')).close();
}

const memoryOf = async ({ pid }: Api): Promise<number> => (await readMemory(pid))?.pssBytes ?? Number.NaN;
