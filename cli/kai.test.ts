import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, symlink } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startFixtureServer } from '#tests/kai/fixture-server.ts';
import { launcher, makeHome, runKai, spawnKai } from '#tests/kai/run-kai.ts';

/** The first program on PATH that is a Node 20 to 23: what the launcher is for. */
const olderNode = (process.env['PATH'] ?? '')
  .split(delimiter)
  .map((folder) => join(folder, 'node'))
  .find((path) => /^v2[0-3]\./.test(existsSync(path) ? spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout : ''));

describe('the launcher and the command line', () => {
  test('prints its version', async () => {
    const { code, stdout } = await runKai(['version'], { home: await makeHome() });
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  test('works through a link, from any folder', async () => {
    const home = await makeHome();
    const link = join(home, 'kai');
    await symlink(launcher, link);
    const { code, stdout } = await runKai(['version', '--json'], { home, cwd: '/', command: [link] });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ version: expect.any(String), node: expect.stringMatching(/^2[4-9]\./) });
  });

  test('an empty XDG_CACHE_HOME is none: nothing is written where it is called', async () => {
    const home = await makeHome();
    const folder = await makeHome();
    expect((await runKai(['version'], { home, cwd: folder, env: { XDG_CACHE_HOME: '' } })).code).toBe(0);
    expect(await readdir(folder)).toEqual([]);
  });

  test.runIf(olderNode !== undefined)('runs under the older Node of the system: streams, exit code and signals go through', async () => {
    const home = await makeHome();
    const command = [olderNode ?? '', launcher];
    const version = await runKai(['version', '--json'], { home, command });
    expect(JSON.parse(version.stdout)).toMatchObject({ node: expect.stringMatching(/^2[4-9]\./) });
    expect((await runKai(['run', 'start'], { home, command })).code).toBe(2);
    const asked = Promise.withResolvers<void>();
    const silent = await startFixtureServer({
      'GET /v1/me': () => {
        asked.resolve();
        return new Promise(() => undefined);
      },
    });
    const waiting = spawnKai(['api', 'GET', '/v1/me'], { home, command, env: { KOS_URL: silent.url, KOS_API_KEY: silent.apiKey } });
    await asked.promise;
    waiting.kill('SIGTERM');
    expect((await waiting.finished).code).toBe(128 + 15);
    await silent.close();
  });

  test('a wrong word is a usage error that suggests the right one', async () => {
    const { code, stdout, stderr } = await runKai(['rnu', 'list'], { home: await makeHome() });
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('Did you mean run?');
    expect((await runKai(['run', 'list', '--jsn'], { home: await makeHome() })).stderr).toContain('Did you mean --json?');
    expect((await runKai(['bogus'], { home: await makeHome() })).stderr).toBe("error: unknown command 'bogus'\n");
  });

  test.each([
    [['run', 'start'], "missing required argument 'plan'"],
    [['run', 'list', '--limit', '0'], 'whole number from 1 to 200'],
    [['run', 'list', '--status', 'sleeping'], 'It is one of queued'],
    [['run', 'watch', 'last', '--timeout', 'soon'], 'number of seconds'],
    [['run', 'start', 'No_Plan'], 'is not the name of a plan'],
    [['run', 'list', '--nonsense'], "unknown option '--nonsense'"],
  ])('%j is a usage error', async (words, message) => {
    const { code, stderr } = await runKai(words, { home: await makeHome() });
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });

  test('help goes to standard output and is no error', async () => {
    const home = await makeHome();
    const { code, stdout } = await runKai(['--help'], { home });
    expect(code).toBe(0);
    for (const word of ['run', 'approval', 'plan', 'artifact', 'status', 'doctor', 'settings', 'secret', 'demo', 'api', 'completion', 'version', 'up']) {
      expect(stdout).toMatch(new RegExp(`^ {2}${word} `, 'm'));
    }
    expect(await runKai([], { home })).toEqual({ code, stdout, stderr: '' });
    expect(await runKai(['help', 'run', 'start'], { home })).toEqual(await runKai(['run', 'start', '--help'], { home }));
    expect((await runKai(['--version'], { home })).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const up = await runKai(['up', '--help'], { home });
    expect(up).toMatchObject({ code: 0, stdout: expect.stringContaining('npm start') });
  });

  test('before the first start it says how to start', async () => {
    const home = await makeHome();
    const { code, stdout, stderr } = await runKai(['run', 'list'], { home });
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toBe(
      `error: kOS has not been started here yet: ${join(home, 'cli.json')} does not exist.\nfix: Start it: npm start (or kai up). If it runs elsewhere, set KOS_HOME, or KOS_URL and KOS_API_KEY.\n`,
    );
  });

  test('with no server it names the URL and the remedy; under --json as a document', async () => {
    const home = await makeHome({ url: 'http://127.0.0.1:9', apiKey: 'kos_key' });
    const plain = await runKai(['run', 'list'], { home });
    expect(plain.code).toBe(1);
    expect(plain.stderr).toMatch(/^error: No kOS answers at http:\/\/127\.0\.0\.1:9 \(.+\)\.\nfix: Start it: npm start \(or kai up\)/);
    const json = await runKai(['--json', 'run', 'list'], { home });
    expect(json.stdout).toBe('');
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: 'server_unreachable', retryable: true } });
  });

  test('a wrong environment names every wrong variable', async () => {
    const { code, stderr } = await runKai(['run', 'list'], { home: await makeHome(), env: { KOS_PORT: 'many', KOS_URL: 'nowhere' } });
    expect(code).toBe(1);
    expect(stderr).toContain('KOS_PORT');
    expect(stderr).toContain('KOS_URL');
  });

  test('no colour codes without a terminal', async () => {
    const { stderr } = await runKai(['run', 'list'], { home: await makeHome(), env: { CI: '1', FORCE_COLOR: '1' } });
    expect(stderr).not.toContain('\u001b');
  });
});

describe('completion', () => {
  test.each(['bash', 'zsh', 'fish'])('prints a script for %s', async (shell) => {
    const { code, stdout } = await runKai(['completion', shell], { home: await makeHome() });
    expect(code).toBe(0);
    expect(stdout).toContain('completion words');
  });

  test.each([
    [['ru'], ['run']],
    [['run', 'st'], ['start']],
    [
      ['--json', 'plan', ''],
      ['validate', 'save', 'list', 'versions', 'diff', 'get', 'remove'],
    ],
    [['run', 'start', '--input-'], ['--input-file']],
    [['settings', 'add', 'r'], ['roots']],
    [['run', 'list', '--plan', 'triage', '--sta'], ['--status']],
  ])('%j offers %j', async (words, candidates) => {
    const { code, stdout, stderr } = await runKai(['completion', 'words', '--', ...words], { home: await makeHome() });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.trimEnd().split('\n')).toEqual(candidates);
  });
});
