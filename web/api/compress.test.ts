import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compressAnswers } from './compress.ts';

const app = express().set('trust proxy', ['127.0.0.1']).use(compressAnswers());
app.get('/json/:bytes', (request, response) => void response.json({ text: 'x'.repeat(Number(request.params.bytes)) }));
app.get('/stream', (_request, response) => void response.type('text/event-stream').send('x'.repeat(50_000)));
const server = app.listen(0, '127.0.0.1');

beforeAll(async () => {
  if (!server.listening) await once(server, 'listening');
});
afterAll(() => void server.close());

/** The encoding of an answer, and its text. */
async function encodingOf(path: string, client: string | null): Promise<[string | null, number]> {
  const headers = client === null ? {} : { 'x-forwarded-for': client };
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, {
    headers: { 'accept-encoding': 'gzip, deflate, br', ...headers },
  });
  return [answer.headers.get('content-encoding'), (await answer.text()).length];
}

describe('an answer', () => {
  it('is compressed where it is large and its client elsewhere', async () => {
    expect(await encodingOf('/json/50000', '203.0.113.5')).toEqual(['br', 50_011]);
  });

  it('is sent as it is to a client on this machine, and where it is small', async () => {
    expect(await encodingOf('/json/50000', null)).toEqual([null, 50_011]);
    expect(await encodingOf('/json/5000', '203.0.113.5')).toEqual([null, 5_011]);
  });

  it('is sent as it is where it is a stream', async () => {
    expect(await encodingOf('/stream', '203.0.113.5')).toEqual([null, 50_000]);
  });
});
