import { join } from 'node:path';
import { environment, projectRoot } from '#config';
import { apiProgram } from '#workers/supervisor/programs.ts';
import type { Api } from '../rig/api.ts';
import { type Caller, makeCaller } from '../rig/caller.ts';
import { openLoop } from '../rig/open-loop.ts';
import { readCpuMs } from '../rig/processes.ts';
import { type Program, startProgram } from '../rig/program.ts';
import { measurePairs, median, type Pair, type PairSummary, quantile, summarise } from '../rig/statistics.ts';
import { type ApiFigure, inMs, inRatio, perSecond } from './figure.ts';

const reach = 1.5;
const runs = 100;
const pageOf = 50;
const windowSeconds = 2;
/** Pairs that do not count. */
const warmUp = 2;

export const bare: ApiFigure = {
  name: 'bare',
  bound:
    'Processor time: besides the handler, ours finds out who asks and what they may, counts against their limits and sets headers; its process also has what goes on by itself (outbox, sequencer).',
  async measureApi({ api, quick }) {
    const ids = await api.endedRuns(runs);
    await api.atRest();
    const { program, caller } = await startBare(api);
    try {
      const pairs = quick ? 4 : 20;
      const servers = { ours: { send: api.send, pid: api.pid }, floor: { send: caller.send, pid: program.pid } };
      const list = await compare(servers, pairs, () => `/v1/runs?limit=${pageOf}`);
      const detail = await compare(servers, pairs, (index) => `/v1/runs/${ids[index % ids.length]}`);
      const line = (what: string, { p95, medians, cpuMs }: Comparison) => ({
        what: `${what}: the same handler, statements, rows and role on bare Express and postgres, ${perSecond} requests/s in turn, p95`,
        ours: `${inMs(p95.ours)}, ${inRatio(p95.ratio)} (median ${inMs(medians.ours)}, ${inRatio(medians.ratio)}; ${inMs(cpuMs.ours)} of its process’s time)`,
        floor: `${inMs(p95.floor)} (median ${inMs(medians.floor)}; ${inMs(cpuMs.floor)} of its process’s time) by hand`,
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
  p95: PairSummary;
  medians: PairSummary;
  /** Processor time of the server's process for a request, median of the windows. */
  cpuMs: Pair;
}

type Side = keyof Pair;

async function compare(servers: Record<Side, Pick<Caller, 'send'> & { pid: number }>, pairs: number, pathOf: (index: number) => string): Promise<Comparison> {
  const medians: Record<Side, number[]> = { ours: [], floor: [] };
  const cpu: Record<Side, number[]> = { ours: [], floor: [] };
  const window = (side: Side) => async (): Promise<number> => {
    const { send, pid } = servers[side];
    const before = await readCpuMs(pid, { withChildren: false });
    const spans = await openLoop({ perSecond, seconds: windowSeconds, send: (index) => send({ method: 'GET', path: pathOf(index) }) });
    cpu[side].push(((await readCpuMs(pid, { withChildren: false })) - before) / spans.length);
    medians[side].push(median(spans));
    return quantile(spans, 0.95);
  };
  const measured = await measurePairs({ pairs, warmUp, ours: window('ours'), floor: window('floor') });
  const medianPairs = medians.ours.map((ours, index): Pair => ({ ours, floor: medians.floor[index] ?? Number.NaN })).slice(warmUp);
  const ofWindow = (side: Side): number => median(cpu[side].slice(warmUp));
  return { p95: summarise(measured), medians: summarise(medianPairs), cpuMs: { ours: ofWindow('ours'), floor: ofWindow('floor') } };
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
