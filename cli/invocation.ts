import type { Configuration } from '#config';
import { type Client, createClient } from './client.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { createOutput, type Output } from './output.ts';
import { patienceWith } from './patience.ts';

/** What a command works with. Made once per process; nothing is read or connected before it is asked for. */
export interface Invocation {
  readonly output: Output;
  configuration(): Promise<Configuration>;
  readonly client: Client;
  /** Aborts at Ctrl-C or SIGTERM; a command that listens detaches by itself, any other ends at once. */
  readonly interruption: Interruption;
  exitCode: ExitCode;
}

export interface Interruption {
  /** From now on Ctrl-C aborts this signal instead of ending the process. */
  take(): AbortSignal;
  /** Ctrl-C ends the process again. */
  release(): void;
}

/** `json` is known only once the command line is parsed, so it is asked for lazily. */
export function createInvocation(wantsJson: () => boolean): Invocation {
  const once = <T>(make: () => T): (() => T) => {
    let made: { value: T } | null = null;
    return () => (made ??= { value: make() }).value;
  };
  const output = once(() => createOutput({ json: wantsJson() }));
  // Loaded when asked for: the schemas that judge the environment take a third of a short command's time.
  const configuration = once(async () => {
    const { environment, readConfiguration } = await import('#config');
    return readConfiguration(environment);
  });
  const client = once(() =>
    createClient(
      async () => {
        const { readCredentials } = await import('./credentials.ts');
        return await readCredentials(await configuration());
      },
      patienceWith(
        async () => (await configuration()).home,
        (line) => output().say(line),
      ),
    ),
  );
  return {
    get output() {
      return output();
    },
    configuration,
    get client() {
      return client();
    },
    interruption: createInterruption(),
    exitCode: exitCodes.ok,
  };
}

function createInterruption(): Interruption {
  let controller = new AbortController();
  let listening = false;
  const abort = (): void => controller.abort();
  const release = (): void => {
    listening = false;
    process.off('SIGINT', abort);
    process.off('SIGTERM', abort);
  };
  return {
    take: () => {
      if (!listening) {
        controller = new AbortController();
        listening = true;
        process.on('SIGINT', abort);
        process.on('SIGTERM', abort);
      }
      return controller.signal;
    },
    release,
  };
}
