import { expect, test } from 'vitest';
import { type RunningChild, describeExit, startChild } from './child-process.ts';
import { isRunning } from './process-identity.ts';

const startScript = async (script: string, channel?: (message: unknown) => void): Promise<{ child: RunningChild; lines: string[] }> => {
  const lines: string[] = [];
  const child = await startChild({
    name: 'script',
    file: process.execPath,
    args: ['-e', script],
    cwd: '/',
    env: {},
    onLine: (line, stream) => lines.push(`${stream}: ${line}`),
    channel,
  });
  return { child, lines };
};

test('every line is handed on, also one without an end, and how it ended', async () => {
  const { child, lines } = await startScript(`process.stdout.write('one\\ntwo'); console.error('three'); process.exitCode = 3`);
  expect(describeExit(await child.exited)).toBe('ended with code 3');
  expect(lines.toSorted()).toEqual(['stderr: three', 'stdout: one', 'stdout: two']);
});

test('a line without end is cut, not kept in memory for ever', async () => {
  const { child, lines } = await startScript(`process.stdout.write('x'.repeat(200_000))`);
  await child.exited;
  expect(lines.length).toBeGreaterThan(1);
});

test('one that ignores the gentle signals is killed in the end', async () => {
  const { child, lines } = await startScript(`process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')`);
  await expect.poll(() => lines).toContain('stdout: up');
  expect(await child.stop([{ signal: 'SIGTERM', graceMs: 100 }])).toEqual({ code: null, signal: 'SIGKILL' });
  expect(await isRunning(child.identity)).toBe(false);
});

test('messages arrive over the channel', async () => {
  const messages: unknown[] = [];
  const { child } = await startScript(`process.send({ hello: 1 }, () => process.disconnect())`, (message) => messages.push(message));
  await child.exited;
  expect(messages).toEqual([{ hello: 1 }]);
});

test('a program that is not there is named', async () => {
  const start = startChild({ name: 'Nothing', file: '/nowhere/nothing', args: [], cwd: '/', env: {}, onLine: () => undefined });
  await expect(start).rejects.toMatchObject({ code: 'process_not_started', message: expect.stringContaining('/nowhere/nothing') });
});
