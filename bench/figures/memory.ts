import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Installation, makeInstallation } from '#tests/chaos/rig/installation.ts';
import { repeatedly } from '../rig/driver.ts';
import { linearPlan, payload } from '../rig/plans.ts';
import { descendants, type MemoryOfProcess, readMemory } from '../rig/processes.ts';
import { type InstallationFigure, inMegabytes, inRatio } from './figure.ts';

const stepsPerRun = 3;
const atOnce = 20;
const idleReachBytes = 600_000_000;
const loadedReachBytes = 1_000_000_000;
/** Two measurements of the same stack differ by this much. */
const growthReach = 1.05;

export const memory: InstallationFigure = {
  name: 'memory',
  bound: 'Three Node processes (supervisor, worker, API), the Temporal server (heap bounded to 150 MB), Postgres with 64 MB of shared buffers.',
  async measureInstallation({ quick, say }) {
    const folder = await mkdtemp(join(tmpdir(), 'kos-bench-memory-'));
    const installation = makeInstallation(join(folder, 'home'));
    const runs = quick ? 200 : 1_000;
    try {
      await installation.start();
      await sleep(quick ? 10_000 : 30_000);
      const idle = await measureStack(installation);
      const diskBefore = await diskBytes(installation);
      await runMany(installation, runs);
      const loaded = await measureStack(installation);
      const diskPerThousand = (((await diskBytes(installation)) - diskBefore) * 1_000) / runs;
      say(`… ${runs} runs done; ${runs} more`);
      await runMany(installation, runs);
      const later = await measureStack(installation);
      const growth = later.totalBytes / loaded.totalBytes;
      const line = (what: string, measured: StackMemory, reachBytes: number) => ({
        what,
        ours: `${inMegabytes(measured.totalBytes)} (${measured.parts.map((part) => `${part.name} ${inMegabytes(part.bytes)}`).join(', ')})`,
        floor: '–',
        reach: `≤ ${inMegabytes(reachBytes)}`,
        met: measured.totalBytes <= reachBytes,
      });
      return {
        lines: [
          line('whole stack, idle, sum of PSS', idle, idleReachBytes),
          line(`the same after ${runs} runs of ${stepsPerRun} steps`, loaded, loadedReachBytes),
          {
            what: `growth in the next ${runs}`,
            ours: inRatio(growth),
            floor: `${inMegabytes(loaded.totalBytes)} before`,
            reach: `none (≤ ${inRatio(growthReach)})`,
            met: growth <= growthReach,
          },
          { what: `disk for 1,000 runs of ${stepsPerRun} steps, 1 kB each`, ours: inMegabytes(diskPerThousand), floor: '–', reach: 'stated', met: null },
        ],
        details: { runs, idle, loaded, later, growth, diskPerThousand },
      };
    } finally {
      await installation.stop();
      await rm(folder, { recursive: true, force: true });
    }
  },
};

interface StackMemory {
  totalBytes: number;
  parts: { name: string; bytes: number }[];
}

const parts = ['supervisor', 'postgres', 'temporal', 'worker', 'api'] as const;

/** Everything that the supervisor has started, and itself. npm, which only waits for it, is not counted. */
async function measureStack({ home }: Installation): Promise<StackMemory> {
  const measured = await Promise.all(
    parts.map(async (name) => {
      const record = JSON.parse(await readFile(join(home, 'run', `${name}.json`), 'utf8')) as { pid: number };
      const pids = name === 'supervisor' ? [record.pid] : [record.pid, ...(await descendants(record.pid))];
      const memories = (await Promise.all(pids.map(readMemory))).filter((found): found is MemoryOfProcess => found !== null);
      return { name, bytes: memories.reduce((sum, { pssBytes }) => sum + pssBytes, 0) };
    }),
  );
  return { totalBytes: measured.reduce((sum, { bytes }) => sum + bytes, 0), parts: measured };
}

/** What the databases hold, without Postgres' recycled write-ahead log, which has a size of its own. */
async function diskBytes({ home, query }: Installation): Promise<number> {
  const [database] = await query<{ bytes: number }>((sql) => sql<{ bytes: number }[]>`select pg_database_size(current_database())::float8 as bytes`);
  const temporal = await stat(join(home, 'temporal', 'temporal.db'));
  return (database?.bytes ?? 0) + temporal.size;
}

async function runMany(installation: Installation, runs: number): Promise<void> {
  const plan = await installation.patiently((client) => client.plans.save({ source: linearPlan(stepsPerRun), format: 'yaml' }));
  await repeatedly(runs, atOnce, async () => {
    const key = randomUUID();
    const started = await installation.patiently((client) => client.runs.start({ plan: plan.name, input: { payload } }, key));
    await untilEnded(installation, started.id);
  });
  await sleep(10_000);
}

async function untilEnded(installation: Installation, runId: string): Promise<void> {
  for (;;) {
    const run = await installation.patiently((client) => client.runs.get(runId));
    if (run.finishedAt !== null) return;
    await sleep(250);
  }
}
