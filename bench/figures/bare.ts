import { join } from 'node:path';
import { environment, projectRoot } from '#config';
import { apiProgram } from '#workers/supervisor/programs.ts';
import type { Api } from '../rig/api.ts';
import { type Caller, makeCaller } from '../rig/caller.ts';
import { openLoop } from '../rig/open-loop.ts';
import { type Program, startProgram } from '../rig/program.ts';
import { measurePairs, median, type Pair, quantile, summarise } from '../rig/statistics.ts';
import { type ApiFigure, inMs, inRatio, perSecond } from './figure.ts';

const reach = 1.5;
const runs = 100;
const pageOf = 50;
const windowSeconds = 2;

export const bare: ApiFigure = {
  name: 'bare',
  bound: 'Processor time: besides the handler, ours finds out who asks and what they may, counts against their limits, sets headers and compresses.',
  async measureApi({ api, quick }) {
    const ids = await api.endedRuns(runs);
    await api.atRest();
    const { program, caller } = await startBare(api);
    try {
      const pairs = quick ? 4 : 20;
      const list = await compare(api, caller, pairs, () => `/v1/runs?limit=${pageOf}`);
      const detail = await compare(api, caller, pairs, (index) => `/v1/runs/${ids[index % ids.length]}`);
      const line = (what: string, { p95, medians }: Comparison) => ({
        what: `${what}: the same handler, statements, rows and role on bare Express and postgres, ${perSecond} requests/s in turn, p95`,
        ours: `${inMs(p95.ours)}, ${inRatio(p95.ratio)} (median ${inMs(medians.ours)}, ${inRatio(medians.ratio)})`,
        floor: `${inMs(p95.floor)} (median ${inMs(medians.floor)}) by hand`,
        reach: `≤ ${inRatio(reach)}`,
        met: p95.ratio <= reach,
      });
      return { lines: [line(`list of ${pageOf} runs`, list), line('one run', detail)], details: { list, detail } };
    } finally {
      await caller.close();
      await program.stop();
    }
  },
};

interface Comparison {
  p95: ReturnType<typeof summarise>;
  medians: ReturnType<typeof summarise>;
}

async function compare(api: Api, bareCaller: Caller, pairs: number, pathOf: (index: number) => string): Promise<Comparison> {
  const medians: Record<'ours' | 'floor', number[]> = { ours: [], floor: [] };
  const window =
    (side: 'ours' | 'floor', { send }: Pick<Caller, 'send'>) =>
    async (): Promise<number> => {
      const spans = await openLoop({ perSecond, seconds: windowSeconds, send: (index) => send({ method: 'GET', path: pathOf(index) }) });
      medians[side].push(median(spans));
      return quantile(spans, 0.95);
    };
  const warmUp = 2;
  const measured = await measurePairs({ pairs, warmUp, ours: window('ours', api), floor: window('floor', bareCaller) });
  const medianPairs = medians.ours.map((ours, index): Pair => ({ ours, floor: medians.floor[index] ?? Number.NaN })).slice(warmUp);
  return { p95: summarise(measured), medians: summarise(medianPairs) };
}

/** In a process with the flags of the API's. */
async function startBare({ installation, workspaceId }: Api): Promise<{ program: Program; caller: Caller }> {
  const port = Promise.withResolvers<number>();
  const program = await startProgram({
    name: 'bare Express',
    args: [...apiProgram.nodeOptions, join(projectRoot, 'bench', 'floor', 'api.ts'), join(installation.home, 'run', 'part-facts.json'), workspaceId],
    env: environment,
    ready: 'floor: listening',
    onMessage: (message) => {
      if (typeof message === 'object' && message !== null && 'port' in message) port.resolve(message.port as number);
    },
  });
  return { program, caller: makeCaller(`http://127.0.0.1:${await port.promise}`, {}) };
}
