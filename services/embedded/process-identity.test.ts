import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { identifyProcess, isRunning, signalProcess, waitUntilGone } from './process-identity.ts';

const startSleeper = async (): Promise<{ pid: number; ended: Promise<unknown> }> => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(child, 'spawn');
  return { pid: child.pid as number, ended: once(child, 'exit') };
};

test('a process is itself as long as it runs, and gone afterwards', async () => {
  const sleeper = await startSleeper();
  const identity = await identifyProcess(sleeper.pid);
  if (identity === null) throw new Error('It runs, so it must be found.');
  expect(await isRunning(identity)).toBe(true);
  expect(await waitUntilGone(identity, 50)).toBe(false);
  expect(await signalProcess(identity, 'SIGKILL')).toBe(true);
  await sleeper.ended;
  expect(await isRunning(identity)).toBe(false);
  expect(await identifyProcess(sleeper.pid)).toBeNull();
  expect(await signalProcess(identity, 'SIGKILL')).toBe(false);
});

test('a process with the same number but another start is a stranger, and never hit', async () => {
  const sleeper = await startSleeper();
  const stranger = { pid: sleeper.pid, started: 'another boot:1' };
  expect(await isRunning(stranger)).toBe(false);
  expect(await signalProcess(stranger, 'SIGKILL')).toBe(false);
  expect(await identifyProcess(sleeper.pid)).not.toBeNull();
  process.kill(sleeper.pid, 'SIGKILL');
  await sleeper.ended;
});
