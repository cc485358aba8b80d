import { expect, test } from 'vitest';
import { type RunningChild, startChild } from '#services/embedded/child-process.ts';
import { type PartDefinition, restartDelayMs, supervise } from './supervised-part.ts';

const timing = { firstDelayMs: 10, maxDelayMs: 40, healthyAfterMs: 60_000 };

/** A real process per start; `script` sees how often it was started before. */
function definePart(script: (starts: number) => string): { definition: PartDefinition<number>; children: RunningChild[] } {
  const children: RunningChild[] = [];
  const definition: PartDefinition<number> = {
    name: 'sleeper',
    start: async () => {
      const child = await startChild({
        name: 'sleeper',
        file: process.execPath,
        args: ['-e', script(children.length)],
        cwd: '/',
        env: {},
        onLine: () => undefined,
      });
      children.push(child);
      const stop = async (): Promise<void> => void (await child.stop([{ signal: 'SIGTERM', graceMs: 1_000 }]));
      return { facts: children.length, identity: child.identity, exited: child.exited, stop };
    },
  };
  return { definition, children };
}

const sleeping = 'setInterval(() => {}, 1000)';

test('delays double from 0.2 s to 10 s', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 20].map((deaths) => restartDelayMs(deaths))).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
});

test('a part that dies is started again and dependants hear its new facts; after stop it is not', async () => {
  const { definition, children } = definePart(() => sleeping);
  const said: string[] = [];
  const restarted: number[] = [];
  const part = supervise(definition, { say: (message) => said.push(message), onRestarted: async (facts) => void restarted.push(facts), timing });
  expect(await part.start()).toBe(1);
  process.kill(children[0]?.identity.pid as number, 'SIGKILL');
  await expect.poll(() => restarted).toEqual([2]);
  expect(said).toEqual([
    expect.stringMatching(/sleeper \(process \d+\) was killed by SIGKILL; starting it again in 0\.01 s/),
    expect.stringMatching(/sleeper runs again/),
  ]);
  await part.stop();
  expect(children).toHaveLength(2);
});

test('a part whose dependants cannot be told is started once more', async () => {
  const { definition, children } = definePart(() => sleeping);
  const said: string[] = [];
  const told: number[] = [];
  const onRestarted = async (facts: number): Promise<void> => {
    if (facts === 2) throw new Error('no space left');
    told.push(facts);
  };
  const part = supervise(definition, { say: (message) => said.push(message), onRestarted, timing });
  await part.start();
  process.kill(children[0]?.identity.pid as number, 'SIGKILL');
  await expect.poll(() => told, { timeout: 5_000 }).toEqual([3]);
  expect(said).toContainEqual(expect.stringContaining('no space left'));
  await part.stop();
  expect(await Promise.all(children.map((child) => child.exited))).toHaveLength(3);
});

test('deaths in a row are counted, and a stop ends the waiting', async () => {
  const { definition, children } = definePart((starts) => (starts < 3 ? 'process.exit(1)' : sleeping));
  const deaths: string[] = [];
  const said: string[] = [];
  const part = supervise(definition, { say: (message) => said.push(message), onDeath: (how) => deaths.push(how), timing });
  await part.start();
  await expect.poll(() => children.length, { timeout: 5_000 }).toBe(4);
  expect(deaths).toEqual(Array.from({ length: 3 }, () => expect.stringContaining('code 1')));
  expect(said.flatMap((message) => /again in (?<delay>.+) s/.exec(message)?.groups?.['delay'] ?? [])).toEqual(['0.01', '0.02', '0.04']);
  await part.stop();
});

test('the first start fails to its caller, a later one is tried again', async () => {
  const failing: PartDefinition<null> = { name: 'failing', start: () => Promise.reject(new Error('no room')) };
  await expect(supervise(failing, { say: () => undefined, timing }).start()).rejects.toThrow('no room');

  const { definition, children } = definePart(() => sleeping);
  let attempts = 0;
  const said: string[] = [];
  const flaky: PartDefinition<number> = {
    name: 'flaky',
    start: () => {
      attempts += 1;
      return attempts === 2 ? Promise.reject(new Error('no room yet')) : definition.start();
    },
  };
  const part = supervise(flaky, { say: (message) => said.push(message), timing });
  await part.start();
  process.kill(children[0]?.identity.pid as number, 'SIGKILL');
  await expect.poll(() => said.at(-1)).toContain('flaky runs again');
  expect(said.some((message) => message.includes('no room yet'))).toBe(true);
  await part.stop();
});
