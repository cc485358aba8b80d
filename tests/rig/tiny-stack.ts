import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { environment, projectRoot } from '#config';
import { type ProcessIdentity, isRunning } from '#services/embedded/process-identity.ts';
import { readJsonFile } from '#services/embedded/run-records.ts';

/** A supervisor in a process of its own, as `npm start` makes one, over tiny programs. */
export interface TinyStack {
  process: ChildProcess;
  /** Everything that it has written so far. */
  output: () => string;
  /** Resolves with the output once it holds this text; rejects when the supervisor ends first. */
  says: (text: string) => Promise<string>;
  ended: Promise<number | null>;
}

export const partNames = ['postgres', 'temporal', 'worker', 'api'] as const;
export type PartName = (typeof partNames)[number];

export function launchTinyStack(home: string, extra: { env?: Record<string, string>; words?: string[]; file?: string } = {}): TinyStack {
  const file = extra.file ?? join(projectRoot, 'tests', 'rig', 'tiny-parts', 'supervisor.ts');
  const child = spawn(process.execPath, [file, ...(extra.words ?? [])], { env: { ...environment, KOS_HOME: home, KOS_PORT: '0', ...extra.env } });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const says = async (wanted: string): Promise<string> => {
    while (!text.includes(wanted)) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`The supervisor ended before it said "${wanted}":\n${text}`);
      await sleep(20);
    }
    return text;
  };
  return { process: child, output: () => text, says, ended };
}

export async function partProcess(home: string, part: PartName): Promise<ProcessIdentity> {
  const record = await readJsonFile(join(home, 'run', `${part}.json`));
  if (record === null) throw new Error(`There is no record of ${part} in ${home}/run.`);
  return record as ProcessIdentity;
}

export async function runningParts(home: string): Promise<PartName[]> {
  const running: PartName[] = [];
  for (const part of partNames) {
    const record = await readJsonFile(join(home, 'run', `${part}.json`));
    if (record !== null && (await isRunning(record as ProcessIdentity))) running.push(part);
  }
  return running;
}

export const readyText = 'kOS is ready at http://127.0.0.1:';

/** Ends what a test has started. A supervisor that was killed may have left servers: a start of the same home sweeps them, as for a person. */
export async function stopTinyStack(stack: TinyStack, home: string): Promise<void> {
  const isOver = stack.process.exitCode !== null || stack.process.signalCode !== null;
  const last = isOver && (await runningParts(home)).length > 0 ? launchTinyStack(home) : stack;
  if (last !== stack) await last.says(readyText);
  last.process.kill('SIGTERM');
  await last.ended;
}
