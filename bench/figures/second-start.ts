import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeInstallation } from '#tests/chaos/rig/installation.ts';
import { median } from '../rig/statistics.ts';
import { type InstallationFigure, inMs } from './figure.ts';

const reachMs = 6_000;

export const secondStart: InstallationFigure = {
  name: 'second-start',
  bound: 'Postgres, Temporal and two Node processes that start on two processors, and npm itself (about half a second).',
  async measureInstallation({ quick }) {
    const folder = await mkdtemp(join(tmpdir(), 'kos-bench-start-'));
    const installation = makeInstallation(join(folder, 'home'));
    try {
      const first = await installation.start();
      const later: number[] = [];
      for (let start = 0; start < (quick ? 1 : 3); start += 1) {
        await installation.stop();
        later.push(await installation.start());
      }
      const typical = median(later);
      return {
        lines: [
          {
            what: 'second npm start to the ready line, median',
            ours: inMs(typical),
            floor: `${inMs(first)} the first`,
            reach: `≤ ${inMs(reachMs)}`,
            met: typical <= reachMs,
          },
        ],
        details: { first, later },
      };
    } finally {
      await installation.stop();
      await rm(folder, { recursive: true, force: true });
    }
  },
};
