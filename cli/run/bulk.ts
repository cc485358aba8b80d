import { type Command, InvalidArgumentError } from 'commander';
import { type BulkVerb, bulkVerbs, type Job } from '#schemas/job.ts';
import { runStatuses } from '#schemas/run.ts';
import { confirmed } from '../confirm.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { collect, readPairs } from '../lists.ts';
import { describeInstant } from '../times.ts';
import { parsePriority } from './actions.ts';

interface BulkOptions {
  run?: string[];
  status?: string[];
  plan?: string;
  label?: string[];
  reason?: string;
  priority?: number;
  undo: boolean;
  dryRun?: boolean;
  yes?: boolean;
}

/** One action on many runs: looked at first, then done on exactly the runs that were shown. */
export function defineBulk(run: Command, invocation: Invocation): void {
  const bulk = run.command('bulk').summary('act on many runs at once');
  bulk
    .command('do')
    .summary('count and show the runs, ask, then act on exactly those')
    .argument('<verb>', bulkVerbs.join(', '), parseVerb)
    .option('--run <id>', 'this run, by its whole id (repeat for several)', collect)
    .option('--status <status>', `runs that are ${runStatuses.join(', ')} (repeat for several)`, collect)
    .option('--plan <name>', 'runs of this plan')
    .option('--label <name=value>', 'runs with this label (repeat for several)', collect)
    .option('--reason <text>', 'kept on the record')
    .option('--priority <priority>', 'for the verb priority: 1 (first) to 5 (last)', parsePriority)
    .option('--no-undo', 'for the verb cancel: let stay what the steps did')
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
  const { run: ids, status, plan, label, reason, priority, undo } = options;
  const labels = label === undefined ? undefined : readPairs(label, '--label');
  const found = ids === undefined ? { filter: { status, plan, labels } } : { ids };
  const planned = await client.jobs.make({ verb, reason, priority, ...(undo ? {} : { undo }), ...found, dryRun: true });
  tellSample(invocation, planned);
  if (options.dryRun === true || planned.total === 0) {
    tellJob(invocation, planned);
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
