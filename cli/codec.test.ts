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
