import { execFile } from 'node:child_process';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Installation, makeInstallation } from '../rig/installation.ts';
import { waitForEnds } from '../rig/ends.ts';
import { type Load, startLoad } from '../rig/load.ts';
import { chaosPlans } from '../rig/plans.ts';
import { judge, judgeRecord, noVerdict } from '../rig/verdict.ts';
import type { Outcome, Scenario, Stage } from './scenario.ts';

const run = promisify(execFile);
const name = 'Disk almost full, then full for 10 s';
const sizeMegabytes = 1_600;
const fullForMs = 10_000;

/** On a volume of its own (a tmpfs; needs the right to mount): new runs wait for room and say so; a full disk stops work and loses none. */
export const fullDisk: Scenario = { name, play };

async function play(stage: Stage): Promise<Outcome> {
  const volume = `${stage.installation.home}-volume`;
  await mkdir(volume, { recursive: true });
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeMegabytes}m,mode=755`, 'tmpfs', volume]);
  } catch (error) {
    return { name, kills: 0, verdict: noVerdict(), recoveriesMs: [], note: `left out: no volume could be mounted (${(error as Error).message.trim()})` };
  }
  const installation = makeInstallation(join(volume, 'home'));
  try {
    return await playOn(stage, installation, volume);
  } finally {
    await installation.stop();
    await run('umount', [volume]);
  }
}

async function playOn(stage: Stage, installation: Installation, volume: string): Promise<Outcome> {
  const { sink } = stage;
  await installation.start();
  await installation.patiently(async (client) => {
    const { etag } = await client.settings.get();
    await client.settings.change({ egress: [sink.authority] }, etag);
  });
  for (const source of Object.values(chaosPlans)) await installation.patiently((client) => client.plans.save({ source, format: 'yaml' }));
  const filler = join(volume, 'filler');
  const faults: string[] = [];

  const before = await startLoad(installation, sink, { kind: 'chain' });
  await fill(volume, filler, 900_000_000);
  const held = await startLoad(installation, sink, { kind: 'fan-out', count: 20 });
  await sleep(3_000);
  faults.push(...(await judgeHeld(installation, held)));
  const unfinished = await waitForEnds(installation, sink, [before]);
  if (unfinished.length > 0) faults.push('a run that was under way did not go on below 1 GB');
  await rm(filler);
  unfinished.push(...(await waitForEnds(installation, sink, [held], 30_000)));

  const working = await Promise.all([startLoad(installation, sink, { kind: 'chain' }), startLoad(installation, sink, { kind: 'fetch', count: 200 })]);
  await sleep(500);
  await fill(volume, filler, 0);
  await sleep(fullForMs);
  await rm(filler);
  unfinished.push(...(await waitForEnds(installation, sink, working)));

  const loads = [before, held, ...working];
  const verdict = await judge(installation, sink, loads);
  for (const load of unfinished) faults.push(`${load.kind} ${load.runId} did not end`);
  verdict.faults.push(...faults, ...(await judgeRecord(installation)));
  stage.say(`${name}: ${verdict.faults.length} faults`);
  return { name, kills: 0, verdict, recoveriesMs: [], note: 'new runs waited and said so; runs under way went on' };
}

/** Leaves so many bytes free. */
async function fill(volume: string, filler: string, leaveBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(volume);
  const bytes = bavail * bsize - leaveBytes;
  await writeFile(filler, '');
  // Other writers may have been quicker at the end of a full disk: then fallocate takes what it gets.
  await run('fallocate', ['-l', String(Math.max(1, bytes)), filler]).catch(() => run('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M']).catch(() => undefined));
}

async function judgeHeld(installation: Installation, { runId }: Load): Promise<string[]> {
  const { status, waitingFor } = await installation.patiently((client) => client.runs.get(runId));
  if (status !== 'queued') return [`a new run is ${status} though less than 1 GB is free`];
  return waitingFor?.text.includes('1 GB') === true ? [] : [`a held run says that it waits for ${JSON.stringify(waitingFor)}`];
}
