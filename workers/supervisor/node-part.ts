import { describeExit, endsWithin, startChild } from '#services/embedded/child-process.ts';
import type { StopStep } from '#services/embedded/child-process.ts';
import { forgetPart, recordPart, sweepPart } from '#services/embedded/run-records.ts';
import { KosError } from '#core/errors.ts';
import { lastWords } from './log-files.ts';
import { type Pulse, watchPulse } from './pulse.ts';
import type { PartDefinition } from './supervised-part.ts';

/** One of our own programs: worker, API. */
export interface NodeProgram {
  name: string;
  /** Absolute path of the TypeScript file, run as it is. */
  file: string;
  nodeOptions: string[];
  /** How long it may take to end by itself when asked. */
  graceMs: number;
}

export interface NodePartOptions {
  home: string;
  program: NodeProgram;
  cwd: string;
  env: Record<string, string | undefined>;
  onLine: (line: string) => void;
  say: (message: string) => void;
}

/** Long enough to catch a program that fails on its first lines, short enough not to be felt. */
const firstBreathMs = 50;

export function defineNodePart(options: NodePartOptions): PartDefinition<null> {
  const { home, program } = options;
  const steps: StopStep[] = [{ signal: 'SIGTERM', graceMs: program.graceMs }];
  return {
    name: program.name,
    start: async () => {
      const swept = await sweepPart(home, program.name, steps);
      if (swept !== null) options.say(`Stopped the ${program.name} that an earlier start had left behind (process ${swept}).`);
      const lastLines: string[] = [];
      let pulse: Pulse | undefined;
      const child = await startChild({
        name: program.name,
        file: process.execPath,
        args: [...program.nodeOptions, program.file],
        cwd: options.cwd,
        env: options.env,
        onLine: (line) => {
          lastLines.push(line);
          if (lastLines.length > 30) lastLines.shift();
          options.onLine(line);
        },
        channel: () => pulse?.beat(),
      });
      pulse = watchPulse(() => {
        options.say(`The ${program.name} lives but has shown no sign of life for 20 s: it is ended and started again.`);
        void child.stop([]);
      });
      void child.exited.then(() => pulse?.stop());
      await recordPart(home, program.name, child.identity);
      if (await endsWithin(child.exited, firstBreathMs)) throw endedAtOnce(program.name, describeExit(await child.exited), lastLines);
      return {
        facts: null,
        identity: child.identity,
        exited: child.exited,
        stop: async () => {
          await child.stop(steps);
          await forgetPart(home, program.name);
        },
      };
    },
  };
}

function endedAtOnce(name: string, how: string, lines: string[]): KosError {
  return new KosError({
    code: 'part_not_started',
    message: `The ${name} ${how} at once: ${lastWords(lines)}`,
    fix: `See logs/${name}.jsonl in KOS_HOME.`,
    status: 500,
  });
}
