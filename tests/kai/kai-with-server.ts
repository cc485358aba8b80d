import { type FixtureServer, type Handler, type ReceivedRequest, startFixtureServer } from './fixture-server.ts';
import { type KaiOptions, type KaiResult, makeHome, runKai } from './run-kai.ts';

/** `kai` against a server that answers as the test says, one command after the other. */
export function kaiWithServer() {
  let server: FixtureServer | null = null;
  const close = async (): Promise<void> => {
    await server?.close();
    server = null;
  };
  const received = (method: string): ReceivedRequest | undefined => server?.received.find((request) => request.method === method);
  return {
    close,
    received,
    /** The body of the first request of a method. */
    sent: (method: string): object => JSON.parse(received(method)?.body ?? 'null') as object,
    kai: async (words: string[], routes: Record<string, Handler>, options: Partial<KaiOptions> = {}): Promise<KaiResult> => {
      await close();
      server = await startFixtureServer(routes);
      return await runKai(words, { home: await makeHome(server), ...options });
    },
  };
}
