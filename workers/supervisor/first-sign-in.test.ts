import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { firstSignIn } from './first-sign-in.ts';

let home: string;
let said: string[];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kos-sign-in-'));
  said = [];
  await writeFile(join(home, 'cli.json'), JSON.stringify({ url: 'http://x', apiKey: 'the key' }));
});
afterEach(() => rm(home, { recursive: true, force: true }));

/** The API, as far as it is asked. */
async function answering<Result>(status: number, body: object, work: (url: string, asked: string[]) => Promise<Result>): Promise<Result> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    void text(request).then((content) => {
      asked.push(`${request.method} ${request.url} ${request.headers.authorization} ${content}`);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const ask = (url: string): Promise<string[]> => firstSignIn(home, url, (message) => said.push(message));

test('while nobody has signed in, the owner gets a link', async () => {
  await answering(201, { id: 'lnk_1', url: 'http://x/sign-in#link=abc', expiresAt: '' }, async (url, asked) => {
    expect((await ask(url)).at(-1)).toBe('  http://x/sign-in#link=abc');
    expect(asked).toEqual(['POST /v1/me/links Bearer the key {"onlyFirst":true}']);
  });
  expect(said).toEqual([]);
});

test('when somebody has, there is nothing to say', async () => {
  expect(await answering(409, { code: 'somebody_signed_in' }, ask)).toEqual([]);
  expect(said).toEqual([]);
});

test('that no link can be made is told, and is no fault of the start', async () => {
  expect(await answering(201, {}, ask)).toEqual([]);
  expect(said).toEqual([expect.stringContaining('npx kai open')]);
});
