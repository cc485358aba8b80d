import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Json } from '#schemas/json.ts';
import type { Step } from '#schemas/run.ts';
import { usageFault } from '../faults.ts';
import { readTextFile } from '../input-files.ts';
import type { Invocation } from '../invocation.ts';
import { resolveRunId, runArgument } from '../short-ids.ts';

const stepArgument = ['<step>', "its path, e.g. pay or 'each[3]'"] as const;
const outcomes = ['happened', 'did-not', 'retry'] as const;
export type Outcome = (typeof outcomes)[number];

interface ByHandOptions {
  reason: string;
  output?: string;
  outputFile?: string;
}

/** What people say of single steps. */
export function defineStepsByHand(run: Command, invocation: Invocation): void {
  addOutput(addReason(run.command('override').summary('give the output of a step that has not succeeded')))
    .argument(...runArgument)
    .argument(...stepArgument)
    .action(async (given: string, path: string, options: ByHandOptions) => {
      const output = await readOutput(invocation, options);
      if (output === undefined) throw usageFault('An override needs an output.', 'Give it: --output JSON, or --output-file FILE (- for standard input)');
      await tellStep(invocation, given, 'override', { path, reason: options.reason, output });
    });
  addReason(run.command('skip').summary('skip a step that has not succeeded'))
    .argument(...runArgument)
    .argument(...stepArgument)
    .action(async (given: string, path: string, { reason }: ByHandOptions) => {
      await tellStep(invocation, given, 'skip', { path, reason });
    });
  addOutput(addReason(run.command('resolve').summary('say what came of an effect that is uncertain')))
    .argument(...runArgument)
    .argument(...stepArgument)
    .argument('<outcome>', 'happened (with its output), did-not (it runs again), retry (again under its key)', parseOutcome)
    .action(async (given: string, path: string, outcome: Outcome, options: ByHandOptions) => {
      const output = await readOutput(invocation, options);
      if ((outcome === 'happened') !== (output !== undefined))
        throw usageFault('An output goes with "happened", and only with that.', 'Give what the step would have put out: --output JSON');
      const said = { outcome: wordOf(outcome), ...(output === undefined ? {} : { output }) };
      await tellStep(invocation, given, 'resolve', { path, reason: options.reason, ...said });
    });
}

const addReason = (command: Command): Command => command.requiredOption('--reason <text>', 'kept on the record');

export const addOutput = (command: Command): Command =>
  command.option('--output <json>', 'as JSON').addOption(new Option('--output-file <file>', 'a JSON file; - for standard input').conflicts('output'));

/** As the API names it. */
export const wordOf = (outcome: Outcome): string => (outcome === 'did-not' ? 'did_not' : outcome);

export function parseOutcome(text: string): Outcome {
  const outcome = outcomes.find((known) => known === text);
  if (outcome === undefined) throw new InvalidArgumentError(`It is one of ${outcomes.join(', ')}.`);
  return outcome;
}

export async function readOutput({ output }: Invocation, options: Pick<ByHandOptions, 'output' | 'outputFile'>): Promise<Json | undefined> {
  const text = options.outputFile === undefined ? options.output : await readTextFile(options.outputFile, output);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw usageFault(`The output is not JSON: ${error instanceof Error ? error.message : String(error)}`, 'A text is JSON in quotes: --output \'"text"\'');
  }
}

async function tellStep({ client, output }: Invocation, given: string, verb: string, body: object): Promise<void> {
  const runId = await resolveRunId(client, given);
  const step: Step = await client.runs.actOnStep(runId, verb, body);
  if (output.json) output.document(step);
  else output.say(`${step.path} of ${runId} is ${step.status}. What the run does now: kai run get ${runId}`);
}
