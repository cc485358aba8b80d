import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ListenAddress } from './network.ts';

export type Readiness = { ready: true } | { ready: false; why: string };

const requestTimeoutMs = 2_000;

/** Asks until `/readyz` answers 200, the signal is aborted or time is up. */
export async function waitUntilReady(address: ListenAddress, timeoutMs: number, signal: AbortSignal): Promise<Readiness> {
  const deadline = performance.now() + timeoutMs;
  let last: Readiness = { ready: false, why: 'nothing asked yet' };
  while (!signal.aborted && performance.now() < deadline) {
    last = await askReady(address);
    if (last.ready) return last;
    await sleep(100);
  }
  return last;
}

/** The API is asked on the loopback even when it listens on every address. */
export function askReady(address: ListenAddress): Promise<Readiness> {
  const host = address.host === '0.0.0.0' ? '127.0.0.1' : address.host === '::' ? '::1' : address.host;
  return new Promise((resolve) => {
    const request = get({ host, port: address.port, path: '/readyz', agent: false, timeout: requestTimeoutMs }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () =>
        resolve(response.statusCode === 200 ? { ready: true } : { ready: false, why: `/readyz answers ${response.statusCode}: ${body.slice(0, 500)}` }),
      );
      response.on('error', (error) => resolve({ ready: false, why: error.message }));
    });
    request.on('timeout', () => request.destroy(new Error(`/readyz did not answer within ${requestTimeoutMs / 1_000} s`)));
    request.on('error', (error) => resolve({ ready: false, why: error.message }));
  });
}
