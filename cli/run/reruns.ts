import { type Command, InvalidArgumentError } from 'commander';
import type { ReplayRun, Run } from '#schemas/run.ts';
import type { Started } from '../client.ts';
import type { Invocation } from '../invocation.ts';
import { collect, readPairs } from '../lists.ts';
import { resolveRunId, runArgument } from '../short-ids.ts';
import { readInput } from './input.ts';
import { addTimeOptions, type TimeOptions, timesAsked } from './start-options.ts';

interface RerunOptions extends TimeOptions {
  input?: string[];
  inputFile?: string;
  label?: string[];
  reason?: string;
  /** False: `--no-cache`. */
  cache?: boolean;
}

interface ForkOptions extends RerunOptions {
  from: string;
  planVersion?: number;
}

/** New runs made from another one. */
export function defineReruns(run: Command, invocation: Invocation): void {
  addTimeOptions(addInputOptions(run.command('replay').summary('start a new run of the same plan version, with the same input or an edited one')))
    .argument(...runArgument)
    .action(async (given: string, options: RerunOptions) => {
      const { id, body, before } = await readRerun(invocation, given, options, null);
      tellStarted(invocation, await invocation.client.runs.replay(id, body));
      tellTimesLeft(invocation, before, options);
    });
  addTimeOptions(addInputOptions(run.command('fork').summary('start a new run at a step of another one: what does not depend on it is carried over')))
    .argument(...runArgument)
    .requiredOption('--from <step>', 'the step from which on everything runs again')
    .option('--plan-version <version>', "another version of the run's plan", parseVersion)
    .action(async (given: string, options: ForkOptions) => {
      const { from, planVersion: version } = options;
      const { id, body, before } = await readRerun(invocation, given, options, version ?? null);
      const forked = await invocation.client.runs.fork(id, { ...body, from, ...(version === undefined ? {} : { version }) });
      tellStarted(invocation, forked);
      tellTimesLeft(invocation, before, options);
      if (!invocation.output.json) invocation.output.say(`Carried over: ${listed(forked.carried)}. Runs again: ${listed(forked.again)}.`);
    });
}

const addInputOptions = (command: Command): Command =>
  command
    .option('-i, --input <key=value>', "an input that differs, typed by the plan's input schema (repeat for several)", collect)
    .option('--input-file <file>', 'inputs that differ, from a JSON or YAML file; - for standard input')
    .option('-l, --label <name=value>', 'a label more (repeat for several)', collect)
    .option('--no-cache', 'let every step that runs do its work, whatever earlier runs have found out')
    .option('--reason <text>', 'kept on the record');

export function parseVersion(text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new InvalidArgumentError('It must be the number of a version.');
  return Number(text);
}

const listed = (steps: string[]): string => (steps.length === 0 ? 'nothing' : steps.join(', '));

/** Inputs that are given replace those of the same name; the others stay as the run had them. */
async function readRerun(
  { client, output }: Invocation,
  given: string,
  options: RerunOptions,
  version: number | null,
): Promise<{ id: string; body: ReplayRun; before: Run }> {
  const id = await resolveRunId(client, given);
  const labels = options.label === undefined ? {} : { labels: readPairs(options.label, '--label') };
  const common = {
    ...labels,
    ...timesAsked(options),
    ...(options.cache === false ? { cache: false } : {}),
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  };
  const before = await client.runs.get(id);
  if (options.input === undefined && options.inputFile === undefined) return { id, body: common, before };
  const { plan, input } = before;
  const { document } = await client.plans.get(plan.name, version ?? plan.version);
  const edits = await readInput({ output, plan: { name: plan.name, document }, pairs: options.input ?? [], file: options.inputFile ?? null });
  return { id, body: { ...common, input: { ...input, ...edits } }, before };
}

/** Instants were meant for one run: whoever wants one for the next names it. */
function tellTimesLeft({ output }: Invocation, { id, deadlineAskedAt, startAt }: Run, { deadline, at }: TimeOptions): void {
  const left = [
    ...(deadlineAskedAt === null || deadline !== undefined ? [] : [`deadline (${deadlineAskedAt})`]),
    ...(startAt === null || at !== undefined ? [] : [`start (${startAt})`]),
  ];
  if (output.json || left.length === 0) return;
  output.say(`Not taken over from ${id}: its ${left.join(' and its ')}. To give the new run its own: --deadline, --at.`);
}

function tellStarted({ output }: Invocation, started: Started): void {
  if (output.json) {
    output.document(started);
    return;
  }
  output.data(`${started.id}\n${started.url}`);
  output.say(output.talkColours.dim(`Watch it: kai run watch ${started.id}`));
}
