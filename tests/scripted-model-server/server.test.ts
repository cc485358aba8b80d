import { expect, test } from 'vitest';
import { createScriptedModelServer, type ScriptedModelServer } from './server.ts';

const ask = (server: ScriptedModelServer, prompt: string, stream = false): Promise<Response> =>
  fetch(`${server.url}/chat/completions`, { method: 'POST', body: JSON.stringify({ model: 'm', stream, messages: [{ role: 'user', content: prompt }] }) });

test('a script that was followed closes quietly, and every request is on record', async () => {
  const server = await createScriptedModelServer([
    { kind: 'text', text: 'one' },
    { kind: 'text', text: 'two', times: 'always' },
  ]);
  const first: unknown = await (await ask(server, 'a')).json();
  expect(first).toMatchObject({ choices: [{ message: { content: 'one' }, finish_reason: 'stop' }] });
  expect(await (await ask(server, 'b', true)).text()).toMatch(/"content":"two".*data: \[DONE\]\n\n$/s);
  expect(server.requests.map(({ text }) => text)).toEqual(['a', 'b']);
  await expect(server.close()).resolves.toBeUndefined();
});

test('replies with `when` find their requests, in whatever order these come', async () => {
  const server = await createScriptedModelServer([
    { kind: 'text', text: 'for x', when: 'x' },
    { kind: 'text', text: 'for y', when: 'y' },
  ]);
  expect(await (await ask(server, 'about y')).text()).toContain('for y');
  expect(await (await ask(server, 'about x')).text()).toContain('for x');
  await server.close();
});

test('a script that runs out answers 500 and fails at the end', async () => {
  const server = await createScriptedModelServer([]);
  expect((await ask(server, 'anything')).status).toBe(500);
  await expect(server.close()).rejects.toThrow(/No reply is left .*anything/s);
});

test('replies left over fail at the end', async () => {
  const server = await createScriptedModelServer([{ kind: 'hang' }]);
  await expect(server.close()).rejects.toThrow(/kind hang was not asked for/);
});

test('a request outside its API fails at the end', async () => {
  const server = await createScriptedModelServer([]);
  expect((await fetch(`${server.url}/embeddings`)).status).toBe(404);
  await expect(server.close()).rejects.toThrow(/GET \/v1\/embeddings/);
});
