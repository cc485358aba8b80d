import { get } from 'node:http';

/**
 * Whether the server says anything at all: it lives. Over its HTTP port, for the SDK's client would stay in the memory of whoever asks, for one
 * small call.
 */
export function temporalAnswers(httpPort: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port: httpPort, path: '/api/v1/system-info', agent: false, timeout: timeoutMs }, (response) => {
      response.on('end', () => resolve(true));
      response.on('error', () => resolve(false));
      response.resume();
    });
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', () => resolve(false));
  });
}
