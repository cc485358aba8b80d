import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { environment, projectRoot } from '#config';
import { workerProgram } from '#workers/supervisor/programs.ts';
import type { Installation } from './installation.ts';

/** Workers beside the installation's own, as an operator adds them: one dies, others go on, and it is started again. */
export interface ExtraWorkers {
  /** SIGKILL to one of them, which is started again at once. False: it was not there. */
  kill: (index: number) => boolean;
  /** How often one ended that nobody had killed. */
  ownDeaths: () => number;
  /** For good. */
  stop: () => Promise<void>;
}

/** A worker that finds no server ends by itself. */
const againAfterMs = 500;

export async function startExtraWorkers({ home }: Installation, count: number): Promise<ExtraWorkers> {
  const log = await open(`${home}.workers.log`, 'a');
  const workers = new Map<number, ChildProcess>();
  let ownDeaths = 0;
  let stopping = false;

  const keep = async (index: number): Promise<void> => {
    while (!stopping) {
      const worker = spawn(process.execPath, [...workerProgram.nodeOptions, workerProgram.file], {
        cwd: projectRoot,
        env: { ...environment, KOS_HOME: home, KOS_PART_FACTS: join(home, 'run', 'part-facts.json') },
        // The channel ends them with us.
        stdio: ['ignore', log.fd, log.fd, 'ipc'],
      });
      workers.set(index, worker);
      await once(worker, 'exit');
      if (worker.killed) continue;
      ownDeaths += 1;
      await sleep(againAfterMs);
    }
  };
  const keepers = Array.from({ length: count }, (_, index) => keep(index));

  return {
    kill: (index) => workers.get(index)?.kill('SIGKILL') ?? false,
    ownDeaths: () => ownDeaths,
    stop: async () => {
      stopping = true;
      for (const worker of workers.values()) worker.kill('SIGKILL');
      await Promise.all(keepers);
      await log.close();
    },
  };
}
