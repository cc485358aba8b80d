import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { identifyProcess } from '#services/embedded/process-identity.ts';
import { type FixtureServer, startFixtureServer } from '#tests/kai/fixture-server.ts';
import { makeHome, runKai, spawnKai } from '#tests/kai/run-kai.ts';
import { aRun, page } from '#tests/kai/shapes.ts';
import { isAway, patienceWith } from './patience.ts';
import { createTransport } from './transport.ts';

let server: FixtureServer;
afterEach(() => server.close());

/** A home whose supervisor is this test's process: one that runs. */
async function makeHeldHome(): Promise<string> {
  server = await startFixtureServer({
    'GET /v1/runs': () => ({ json: page([aRun()]) }),
    'POST /v1/workspaces': () => ({ json: {} }),
  });
  const home = await makeHome(server);
  await mkdir(join(home, 'run'));
  await writeFile(join(home, 'run', 'supervisor.json'), JSON.stringify(await identifyProcess(process.pid)));
  return home;
}

describe('a server that is away', () => {
  test.each([
    ['asks', ['run', 'list', '--json']],
    ['would act, and was not heard', ['api', 'POST', '/v1/workspaces', '--data', '{}', '--json']],
  ])('is waited for while its supervisor runs, by a command that %s', async (_what, words) => {
    const home = await makeHeldHome();
    await server.stop();
    const kai = spawnKai(words, { home });
    await kai.says('It is starting or restarting');
    await server.start();
    const { code, stderr } = await kai.finished;
    expect({ code, lines: stderr.trim().split('\n').length }).toEqual({ code: 0, lines: 1 });
    expect(stderr).not.toContain('npm start');
    expect(server.received).toHaveLength(1);
  });

  test('is given up in the end, and nobody is told to start it', async () => {
    const home = await makeHeldHome();
    const gone = { url: server.url, apiKey: server.apiKey, local: true };
    await server.stop();
    const patience = {
      ...patienceWith(
        async () => home,
        () => undefined,
      ),
      forMs: 50,
      everyMs: 10,
    };
    await expect(createTransport(async () => gone, patience).send({ method: 'GET', path: '/v1/runs' })).rejects.toMatchObject({
      code: 'still_starting',
      message: expect.stringContaining('but its supervisor runs'),
      fix: expect.not.stringContaining('npm start'),
    });
  });

  test('is not waited for where no supervisor of ours runs', async () => {
    const home = await makeHeldHome();
    await server.stop();
    const elsewhere = { KOS_URL: server.url, KOS_API_KEY: server.apiKey };
    expect((await runKai(['run', 'list'], { home, env: elsewhere })).stderr).toContain('npm start');
    await writeFile(join(home, 'run', 'supervisor.json'), JSON.stringify({ ...(await identifyProcess(process.pid)), started: 'another' }));
    expect((await runKai(['run', 'list'], { home })).stderr).toContain('npm start');
  });

  test('is told apart from one that refuses', async () => {
    const home = await makeHeldHome();
    const refused = createTransport(async () => ({ url: server.url, apiKey: 'wrong', local: true }));
    const thrown = await refused.send({ method: 'GET', path: '/v1/runs' }).catch((error: unknown) => error);
    expect(isAway(thrown)).toBe(false);
    expect(home).not.toBe('');
  });
});
