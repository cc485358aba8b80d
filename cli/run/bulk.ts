import { type Command, InvalidArgumentError } from 'commander';
import { type BulkVerb, bulkVerbs, type Job } from '#schemas/job.ts';
import { runStatuses } from '#schemas/run.ts';
import { confirmed } from '../confirm.ts';
import { exitCodes } from '../exit-codes.ts';
import { parseJsonText, readTextFile } from '../input-files.ts';
import type { Invocation } from '../invocation.ts';
import { collect, readPairs } from '../lists.ts';
import { describeInstant } from '../times.ts';
import { parsePriority } from './actions.ts';
import { parseVersion } from './reruns.ts';
import { readPayload } from './signal.ts';
import { addOutput, type Outcome, parseOutcome, readOutput, wordOf } from './steps-by-hand.ts';

interface BulkOptions {
  run?: string[];
  status?: string[];
  plan?: string;
  label?: string[];
  reason?: string;
  priority?: number;
  undo: boolean;
  from?: string;
  planVersion?: number;
  inputFile?: string;
  name?: string;
  payload?: string;
  payloadFile?: string;
  step?: string;
  output?: string;
  outputFile?: string;
  outcome?: Outcome;
  dryRun?: boolean;
  yes?: boolean;
}

/** One action on many runs: looked at first, then done on exactly the runs that were shown. */
export function defineBulk(run: Command, invocation: Invocation): void {
  const bulk = run.command('bulk').summary('act on many runs at once');
  addOutput(bulk.command('do'))
    .summary('count and show the runs, ask, then act on exactly those')
    .argument('<verb>', bulkVerbs.join(', '), parseVerb)
    .option('--run <id>', 'this run, by its whole id (repeat for several)', collect)
    .option('--status <status>', `runs that are ${runStatuses.join(', ')} (repeat for several)`, collect)
    .option('--plan <name>', 'runs of this plan')
    .option('--label <name=value>', 'runs with this label (repeat for several)', collect)
    .option('--reason <text>', 'kept on the record')
    .option('--priority <priority>', 'for the verb priority: 1 (first) to 5 (last)', parsePriority)
    .option('--no-undo', 'for the verb cancel: let stay what the steps did')
    .option('--from <step>', 'for the verb fork: the step from which on everything runs again')
    .option('--plan-version <version>', "for the verb fork: another version of the runs' plan", parseVersion)
    .option('--input-file <file>', "for the verbs fork and replay: instead of each run's own input; JSON, - for standard input")
    .option('--name <name>', 'for the verb signal: its name')
    .option('--payload <json>', 'for the verb signal: what it carries')
    .option('--payload-file <file>', 'the same from a JSON file; - for standard input')
    .option('--step <path>', 'for the verbs override, skip and resolve: the path of the step, the same in every run')
    .option('--outcome <outcome>', 'for the verb resolve: happened (with an output), did-not, retry', parseOutcome)
    .option('--dry-run', 'only count and show')
    .option('-y, --yes', 'do not ask')
    .action(async (verb: BulkVerb, options: BulkOptions) => {
      await act(invocation, verb, options);
    });
  bulk
    .command('show')
    .summary('what a job has done, run by run')
    .argument('<job>', 'its id')
    .action(async (jobId: string) => {
      await show(invocation, jobId);
    });
  bulk
    .command('start')
    .summary('begin what a dry run has found, on exactly those runs')
    .argument('<job>', 'its id')
    .action(async (jobId: string) => {
      tellJob(invocation, await invocation.client.jobs.change(jobId, 'start'));
    });
  bulk
    .command('abort')
    .summary('stop a job: what it has not done stays undone')
    .argument('<job>', 'its id')
    .action(async (jobId: string) => {
      tellJob(invocation, await invocation.client.jobs.change(jobId, 'abort'));
    });
}

function parseVerb(text: string): BulkVerb {
  const verb = bulkVerbs.find((known) => known === text);
  if (verb === undefined) throw new InvalidArgumentError(`It is one of ${bulkVerbs.join(', ')}.`);
  return verb;
}

async function act(invocation: Invocation, verb: BulkVerb, options: BulkOptions): Promise<void> {
  const { client, output } = invocation;
  const { run: ids, status, plan, label } = options;
  const labels = label === undefined ? undefined : readPairs(label, '--label');
  const found = ids === undefined ? { filter: { status, plan, labels } } : { ids };
  const planned = await client.jobs.make({ verb, ...(await readArguments(invocation, options)), ...found, dryRun: true });
  tellSample(invocation, planned);
  if (options.dryRun === true || planned.total === 0) {
    tellJob(invocation, planned);
    if (planned.total > 0) output.say(`Begin it, on exactly those: kai run bulk start ${planned.id}`);
    return;
  }
  const again = `kai run bulk do ${verb} … --yes`;
  if (options.yes !== true && !(await confirmed(output, `${verb} these ${planned.total} runs?`, again))) {
    await client.jobs.change(planned.id, 'abort');
    output.say('Nothing was done.');
    invocation.exitCode = exitCodes.error;
    return;
  }
  tellJob(invocation, await client.jobs.change(planned.id, 'start'));
}

/** What the verb is told, once for all runs; the API says which goes with which. */
async function readArguments(invocation: Invocation, options: BulkOptions): Promise<object> {
  const { reason, priority, undo, from, planVersion: version, inputFile, name, step: path, outcome } = options;
  const output = await readOutput(invocation, options);
  const input = inputFile === undefined ? undefined : parseJsonText(await readTextFile(inputFile, invocation.output), inputFile);
  const payload = options.payload === undefined && options.payloadFile === undefined ? undefined : await readPayload(invocation, options);
  return {
    reason,
    priority,
    ...(undo ? {} : { undo }),
    from,
    version,
    input,
    name,
    payload,
    path,
    output,
    ...(outcome === undefined ? {} : { outcome: wordOf(outcome) }),
  };
}

function tellSample({ output }: Invocation, job: Job): void {
  const now = Date.now();
  output.say(`${job.total} ${job.total === 1 ? 'run is' : 'runs are'} like that.`);
  for (const run of job.sample) output.say(`  ${run.runId} ${run.plan} ${run.status}, ${describeInstant(run.createdAt, now)}`);
  if (job.total > job.sample.length) output.say(`  … ${job.total - job.sample.length} more`);
}

function tellJob({ output }: Invocation, job: Job): void {
  if (output.json) {
    output.document(job);
    return;
  }
  output.data(job.id);
  const { done, refused, pending } = job.counts;
  output.say(`The job is ${job.status}: ${done} done, ${refused} refused, ${pending} to come. See it: kai run bulk show ${job.id}`);
}

async function show({ client, output }: Invocation, jobId: string): Promise<void> {
  const job = await client.jobs.get(jobId);
  const items = await client.jobs.items(jobId);
  if (output.json) {
    output.document({ ...job, items });
    return;
  }
  output.say(`${job.id}: ${job.action.verb} is ${job.status}.`);
  for (const item of items) output.data(`${item.runId} ${item.status}${item.message === null ? '' : `: ${item.message}`}`);
}
