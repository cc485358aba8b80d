import type { Run } from '#schemas/run.ts';
import type { Invocation } from '../invocation.ts';
import { readPairs } from '../lists.ts';
import { parsePlanReference } from '../plan-reference.ts';
import { newIdempotencyKey } from '../transport.ts';
import { followRun } from './follow.ts';
import { readInput } from './input.ts';
import { tellOutcome } from './outcome.ts';
import { createJsonProgress, createLineProgress, createLiveProgress, type Progress } from './progress.ts';
import { type TimeOptions, timesAsked } from './start-options.ts';
import type { StepTree } from './step-tree.ts';

export interface WaitOptions {
  waitForPeople?: boolean;
  /** Seconds. */
  timeout?: number;
}

export interface StartOptions extends WaitOptions, TimeOptions {
  input?: string[];
  inputFile?: string;
  label?: string[];
  /** False: `--no-cache`. */
  cache?: boolean;
  wait?: boolean;
  idempotencyKey?: string;
}

export async function startRun(invocation: Invocation, reference: string, options: StartOptions): Promise<void> {
  const { client, output } = invocation;
  const { name, version } = parsePlanReference(reference);
  const plan = await client.plans.get(name, version);
  const input = await readInput({ output, plan, pairs: options.input ?? [], file: options.inputFile ?? null });
  const labels = readPairs(options.label ?? [], '--label');
  const started = await client.runs.start(
    // The version that was looked at, so that a save in between does not change what the input was typed by. Under a key that was given, what was
    // given: the key stands for the command, and a body with another version would be refused under it.
    {
      plan: options.idempotencyKey === undefined ? `${plan.name}@${plan.version}` : reference,
      input,
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      ...timesAsked(options),
      ...(options.cache === false ? { cache: false } : {}),
    },
    options.idempotencyKey ?? newIdempotencyKey(),
  );
  const waits = options.wait === true || options.waitForPeople === true || options.timeout !== undefined;
  if (waits) {
    output.say(`${started.id} accepted`);
    await waitForRun(invocation, started.id, options);
    return;
  }
  if (output.json) output.document(started);
  else {
    output.data(`${started.id}\n${started.url}`);
    output.say(output.talkColours.dim(`Watch it: kai run watch ${started.id}`));
  }
}

/** `run start --wait`: progress is talk, the result is data. */
async function waitForRun(invocation: Invocation, runId: string, options: WaitOptions): Promise<void> {
  const { output } = invocation;
  const timeoutMs = timeoutOf(options);
  const outcome = await followRun(invocation, {
    runId,
    timeoutMs,
    people: peopleMode(invocation, options),
    progress: async (tree, run) => await createProgress(invocation, tree, run, (line) => output.say(line)),
  });
  invocation.exitCode = await tellOutcome(invocation, outcome, { runId, timeoutMs, data: 'result' });
}

/** `run watch`: on a terminal as above; elsewhere the lines, or under `--json` the events, are the data. */
export async function watchRun(invocation: Invocation, runId: string, options: WaitOptions): Promise<void> {
  const { output } = invocation;
  const timeoutMs = timeoutOf(options);
  const outcome = await followRun(invocation, {
    runId,
    timeoutMs,
    people: peopleMode(invocation, options),
    progress: async (tree, run) => (output.json ? createJsonProgress(output) : await createProgress(invocation, tree, run, (line) => output.data(line))),
  });
  const linesAreData = output.json || !output.terminal.talk;
  invocation.exitCode = await tellOutcome(invocation, outcome, { runId, timeoutMs, data: linesAreData ? 'none' : 'result' });
}

/** A tree on a terminal, lines elsewhere. */
export async function createProgress({ output }: Invocation, tree: StepTree, run: Run, write: (line: string) => void): Promise<Progress> {
  const title = `${run.plan.name}@${run.plan.version}`;
  return output.terminal.talk ? await createLiveProgress(output, output.talkColours.bold(title), tree) : createLineProgress(output, write);
}

const timeoutOf = (options: WaitOptions): number | null => (options.timeout === undefined ? null : options.timeout * 1000);

function peopleMode({ output }: Invocation, options: WaitOptions): 'ask' | 'return' | 'wait' {
  if (options.waitForPeople === true) return 'wait';
  return output.terminal.input && output.terminal.talk ? 'ask' : 'return';
}
