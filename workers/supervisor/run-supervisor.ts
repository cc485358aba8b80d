import { join } from 'node:path';
import { type Configuration, EnvironmentError } from '#config';
import { KosError } from '#core/errors.ts';
import { makeKaiCommand, nextSteps, readyLine } from './announcements.ts';
import { firstSignIn } from './first-sign-in.ts';
import { runFirstExample } from './first-run.ts';
import { prepareHome, warnOfLowSpace } from './home-folder.ts';
import { lockHome } from './home-lock.ts';
import { refuseUnusableKeys, rememberKeys } from './known-keys.ts';
import { openLogs } from './log-files.ts';
import { chooseAddress } from './network.ts';
import { sweepHome } from './sweep.ts';
import { type StackOptions, makeStack } from './stack.ts';

export interface SupervisorOptions extends Pick<StackOptions, 'projectRoot' | 'environment' | 'worker' | 'api' | 'prepareDatabase'> {
  configuration: Configuration;
  print: (line: string) => void;
  /** Aborted when kOS is to end; the promise then resolves after all parts have. */
  end: AbortSignal;
  /** Whether what is printed goes to a person's terminal and nowhere else. */
  isTerminal: boolean;
  /** False leaves out the example of the first start. */
  showExample: boolean;
}

/** From an empty machine to the ready line, and on until `end`. Throws a KosError when it cannot. */
export async function runSupervisor(options: SupervisorOptions): Promise<void> {
  const { configuration, print, projectRoot, environment, end } = options;
  const { home } = configuration;
  await prepareHome(home);
  const lock = await lockHome(home, new Date());
  const logs = openLogs(join(home, 'logs'), print);
  try {
    const say = (message: string): void => {
      logs.of('supervisor').write('info', message);
      print(message);
    };
    const warning = await warnOfLowSpace(home);
    if (warning !== null) say(warning);
    await sweepHome(home, say);
    await refuseUnusableKeys(home, configuration.database.url !== undefined);
    const address = await chooseAddress(configuration);
    await lock.announce(address.publicUrl);
    // A signal that came before this line tells nobody any more; one that comes later stops the stack.
    if (end.aborted) return;
    print(`Starting kOS; its data lies in ${home}.`);

    const stack = makeStack({ ...options, address, logs, say });
    const ended = new Promise<void>((resolve) => end.addEventListener('abort', () => resolve(stack.stop())));
    await stack.start().catch((error: unknown) => {
      if (!end.aborted) throw error;
    });
    if (!end.aborted) {
      logs.of('supervisor').write('info', readyLine(address));
      print(readyLine(address));
      await rememberKeys(home);
      // Convenience: that it cannot be written (a full disk) must not end what runs.
      const kaiFolder = await makeKaiCommand(home, projectRoot).catch((error: unknown) => {
        say(`The command in ${join(home, 'bin')} could not be made: ${(error as Error).message}.`);
        return null;
      });
      for (const line of nextSteps({ address, insecure: configuration.insecure, kaiFolder })) print(line);
      // Into the terminal alone: whoever reads a log must not find a way in.
      if (options.isTerminal) for (const line of await firstSignIn(home, address.localUrl, say)) print(line);
      if (options.showExample) {
        await runFirstExample({ home, projectRoot, environment, url: address.publicUrl, onLine: logs.of('supervisor').line, print: say, signal: end }).catch(
          (error: unknown) => say(`The first example could not be started: ${(error as Error).message}`),
        );
      }
    }
    await ended;
  } catch (error) {
    logs.of('supervisor').write('error', explainFailure(error));
    throw error;
  } finally {
    await lock.release();
  }
}

/** For the console: message and remedy, no stack of our own faults' inner workings. */
export function explainFailure(error: unknown): string {
  if (error instanceof EnvironmentError) return error.message;
  if (error instanceof KosError) return error.fix === null ? error.message : `${error.message}\n${error.fix}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
