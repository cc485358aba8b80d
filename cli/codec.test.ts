import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startFixtureServer } from '#tests/kai/fixture-server.ts';
import { makeHome, runKai } from '#tests/kai/run-kai.ts';

test('codec prints what Temporal’s own tools are given, without the key', async () => {
  const server = await startFixtureServer({});
  const home = await makeHome(server);
  const endpoint = `${server.url}/v1/codec`;
  const { code, stdout } = await runKai(['codec'], { home });
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: `${endpoint}\ntemporal workflow show --workflow-id RUN --codec-endpoint ${endpoint} --codec-auth "Bearer $KOS_API_KEY"\n`,
  });
  expect(JSON.parse((await runKai(['codec', '--json'], { home })).stdout)).toMatchObject({ endpoint });
  await server.close();
});

test('codec names the Temporal server of this installation, and its program where that is not on the path', async () => {
  const server = await startFixtureServer({});
  const home = await makeHome(server);
  const cache = join(home, 'cache');
  const program = join(cache, 'kos', 'temporal-1.5.1', 'temporal');
  await mkdir(join(program, '..'), { recursive: true });
  await writeFile(program, '', { mode: 0o755 });
  await mkdir(join(home, 'run'));
  await writeFile(join(home, 'run', 'part-facts.json'), JSON.stringify({ port: 1, temporal: { address: '127.0.0.1:20001', namespace: 'kos' } }));
  const commandIn = async (env: Record<string, string>): Promise<string> => {
    const { stdout } = await runKai(['codec'], { home, env: { PATH: '/nowhere', XDG_CACHE_HOME: cache, ...env } });
    return stdout.split('\n')[1] ?? '';
  };
  expect(await commandIn({})).toContain(`${program} workflow show --address 127.0.0.1:20001 --namespace kos --workflow-id RUN --codec-endpoint`);
  expect(await commandIn({ PATH: join(program, '..') })).toMatch(/^temporal workflow show --address 127\.0\.0\.1:20001 /);
  // Another server's Temporal is not ours to know.
  expect(await commandIn({ KOS_URL: server.url, KOS_API_KEY: server.apiKey })).toMatch(/^temporal workflow show --workflow-id RUN /);
  await server.close();
});
