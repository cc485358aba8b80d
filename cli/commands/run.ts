import { type Command, InvalidArgumentError } from 'commander';
import { KosError } from '#core/errors.ts';
import { isFinalRunStatus, type Run, runStatuses } from '#schemas/run.ts';
import { confirmed } from '../confirm.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { addListOptions, collect, type ListOptions, readPairs, showPage } from '../lists.ts';
import { defineAgain } from '../run/again.ts';
import { defineReruns } from '../run/reruns.ts';
import { defineBulk } from '../run/bulk.ts';
import { exitCodeOfRun, tellError } from '../run/outcome.ts';
import { defineStepsByHand } from '../run/steps-by-hand.ts';
import { resolveRunId, runArgument } from '../short-ids.ts';
import { paintOfStatus } from '../status-words.ts';
import { defineRunActions } from '../run/actions.ts';
import { addTimeOptions } from '../run/start-options.ts';
import { describeDuration, describeInstant } from '../times.ts';
import type { ExportOptions } from '../run/export.ts';
import type { HistoryOptions } from '../run/history.ts';
import type { SignalOptions } from '../run/signal.ts';
import type { StartOptions, WaitOptions } from '../run/start.ts';

export function defineRun(run: Command, invocation: Invocation): void {
  defineStart(run, invocation);
  addListOptions(run.command('list').summary('runs, the newest first'))
    .option('--status <status>', `${runStatuses.join(', ')} (repeat for several)`, collectStatus)
    .option('--plan <name>', 'of this plan')
    .option('--parent <run>', 'those that the steps of this run have started')
    .option('--all', 'those too that steps of other runs have started')
    .option('--label <name=value>', 'with this label (repeat for several)', collect)
    .action(async (options: ListRunsOptions) => {
      await listRuns(invocation, options);
    });
  run
    .command('get')
    .summary('one run: its state and its steps')
    .argument(...runArgument)
    .option('--step <path>', 'one step with its whole output, e.g. explain[3]')
    .action(async (given: string, options: { step?: string }) => {
      const { showRun, showStep } = await import('../run/show.ts');
      if (options.step === undefined) await showRun(invocation, await readRun(invocation, given));
      else await showStep(invocation, await resolveRunId(invocation.client, given), options.step);
    });
  addWaitOptions(run.command('watch').summary('follow a run to its end'))
    .argument(...runArgument)
    .action(async (given: string, options: WaitOptions) => {
      const { watchRun } = await import('../run/start.ts');
      await watchRun(invocation, await resolveRunId(invocation.client, given), options);
    });
  run
    .command('result')
    .summary('the output of a run that has succeeded')
    .argument(...runArgument)
    .action(async (given: string) => {
      await result(invocation, given);
    });
  run
    .command('why')
    .summary('what each unfinished step waits for, and what helps')
    .argument(...runArgument)
    .action(async (given: string) => {
      const { showExplanation } = await import('../run/show.ts');
      showExplanation(invocation, await invocation.client.runs.explain(await resolveRunId(invocation.client, given)));
    });
  run
    .command('signal')
    .summary('send a signal to a run: the step that waits for it takes it, or it is kept until one does')
    .argument(...runArgument)
    .argument('<name>', 'the name that a step waits for')
    .option('-p, --payload <json>', 'what the step gives as its output; null when it is not said')
    .option('--payload-file <file>', 'the same from a JSON file; - for standard input')
    .option('--idempotency-key <key>', 'sending again with the same key sends nothing more')
    .action(async (given: string, name: string, options: SignalOptions) => {
      const { sendSignal } = await import('../run/signal.ts');
      await sendSignal(invocation, given, name, options);
    });
  addListOptions(run.command('signals').summary('signals that were sent to a run, and the steps that took them'))
    .argument(...runArgument)
    .action(async (given: string, options: ListOptions) => {
      const { listSignals } = await import('../run/signal.ts');
      await listSignals(invocation, given, options);
    });
  run
    .command('logs')
    .summary('what has happened in a run up to now, as lines to read')
    .argument(...runArgument)
    .action(async (given: string) => {
      const { showLog } = await import('../run/log.ts');
      await showLog(invocation, await resolveRunId(invocation.client, given));
    });
  run
    .command('history')
    .summary('what Temporal keeps of a run, the newest first')
    .argument(...runArgument)
    .option('--type <text>', 'only events with this in their type, e.g. activity_task_failed')
    .option('--step <path>', 'only events of this step')
    .action(async (given: string, options: HistoryOptions) => {
      const { showHistory } = await import('../run/history.ts');
      await showHistory(invocation, await resolveRunId(invocation.client, given), options);
    });
  run
    .command('debug')
    .summary('what Temporal holds of a run: pending activities, their attempts and failures, who polls, where its code waits')
    .argument(...runArgument)
    .action(async (given: string) => {
      const { showDebug } = await import('../run/debug.ts');
      await showDebug(invocation, await resolveRunId(invocation.client, given));
    });
  run
    .command('export')
    .summary('everything about a run as one JSON document')
    .argument(...runArgument)
    .option('-o, --output <file>', 'write into this file')
    .option('--force', 'overwrite the file')
    .option('--artifacts', 'the contents of artifacts too, as base64')
    .option('--whole-outputs', 'large outputs of steps too')
    .action(async (given: string, options: ExportOptions) => {
      const { exportRun } = await import('../run/export.ts');
      await exportRun(invocation, await resolveRunId(invocation.client, given), options);
    });
  run
    .command('pin')
    .summary('keep a run beyond retention')
    .argument(...runArgument)
    .option('--remove', 'let retention take it again')
    .action(async (given: string, options: { remove?: boolean }) => {
      await pin(invocation, given, options.remove !== true);
    });
  run
    .command('delete')
    .summary('delete a run that has ended, with its steps, events and outputs')
    .argument(...runArgument)
    .option('-y, --yes', 'do not ask')
    .action(async (given: string, options: { yes?: boolean }) => {
      await remove(invocation, given, options.yes === true);
    });
  defineRunActions(run, invocation);
  defineAgain(run, invocation);
  defineReruns(run, invocation);
  defineStepsByHand(run, invocation);
  defineBulk(run, invocation);
}

function defineStart(run: Command, invocation: Invocation): void {
  addTimeOptions(addWaitOptions(run.command('start').summary('start a run; prints its id and URL and returns')))
    .argument('<plan>', 'NAME (its newest version), or NAME@VERSION')
    .option('-i, --input <key=value>', "an input, typed by the plan's input schema (repeat for several)", collect)
    .option('--input-file <file>', 'inputs from a JSON or YAML file; - for standard input')
    .option('-l, --label <name=value>', 'a label (repeat for several)', collect)
    .option('-w, --wait', 'show its steps until it ends; prints its output')
    .option('--no-cache', 'let every step do its work, whatever earlier runs have found out')
    .option('--idempotency-key <key>', 'starting again with the same key gives the same run')
    .addHelpText('after', '\nExample: kai run start log-triage --input path=/var/log --wait')
    .action(async (reference: string, options: StartOptions) => {
      const { startRun } = await import('../run/start.ts');
      await startRun(invocation, reference, options);
    });
}

const addWaitOptions = (command: Command): Command =>
  command
    .option('--wait-for-people', 'at an approval, wait until somebody has decided (implies --wait)')
    .option('--timeout <seconds>', 'give up waiting after so many seconds; the run goes on (exit code 7)', parseSeconds);

/** A timer longer than 2^31 ms fires at once. */
const longestTimeoutSeconds = 2_000_000;

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (text.trim() === '' || !(seconds > 0 && seconds <= longestTimeoutSeconds))
    throw new InvalidArgumentError(`It must be a number of seconds from 0 to ${longestTimeoutSeconds}.`);
  return seconds;
}

function collectStatus(status: string, previous: string[] | undefined): string[] {
  if (!(runStatuses as readonly string[]).includes(status)) throw new InvalidArgumentError(`It is one of ${runStatuses.join(', ')}.`);
  return collect(status, previous);
}

interface ListRunsOptions extends ListOptions {
  status?: string[];
  plan?: string;
  label?: string[];
  parent?: string;
  all?: boolean;
}

async function listRuns(invocation: Invocation, options: ListRunsOptions): Promise<void> {
  const { client, output } = invocation;
  const { status, label, parent, all, ...query } = options;
  const below = parent === undefined ? (all === true ? undefined : 'none') : await resolveRunId(client, parent);
  const now = Date.now();
  const labels = Object.entries(readPairs(label ?? [], '--label')).map(([name, value]) => `${name}=${value}`);
  const filtered = status !== undefined || label !== undefined || options.plan !== undefined;
  showPage(invocation, await client.runs.list({ ...query, status, label: labels, parent: below }), {
    headings: ['ID', 'PLAN', 'STATUS', 'STARTED', 'TOOK', 'DETAIL'],
    row: (item) => [
      item.id,
      `${item.plan.name}@${item.plan.version}`,
      { text: item.status, paint: paintOfStatus(item.status, output.dataColours) },
      describeInstant(item.createdAt, now),
      item.startedAt === null || item.finishedAt === null ? '' : describeDuration(Date.parse(item.finishedAt) - Date.parse(item.startedAt)),
      item.error?.message ?? item.waitingFor?.text ?? '',
    ],
    empty: filtered ? 'No run is like that.' : 'No run yet. Start one: kai run start log-triage --input path=/var/log --wait',
  });
}

const readRun = async ({ client }: Invocation, given: string): Promise<Run> => await client.runs.get(await resolveRunId(client, given));

async function result(invocation: Invocation, given: string): Promise<void> {
  const run = await readRun(invocation, given);
  if (!isFinalRunStatus(run.status)) {
    throw new KosError({ code: 'run_not_ended', message: `${run.id} is ${run.status}: it has no result yet.`, fix: `kai run watch ${run.id}`, status: 409 });
  }
  invocation.exitCode = exitCodeOfRun(run);
  if (run.status === 'succeeded') {
    const { showResult } = await import('../run/show.ts');
    showResult(invocation, run);
    return;
  }
  invocation.output.say(`${run.id} ${run.status}: it has no result.`);
  tellError(invocation, run);
}

async function pin(invocation: Invocation, given: string, pinned: boolean): Promise<void> {
  const { client, output } = invocation;
  const run = await client.runs.pin(await resolveRunId(client, given), pinned);
  if (output.json) output.document(run);
  else output.say(pinned ? `${run.id} is kept beyond retention.` : `${run.id} goes when retention takes it.`);
}

async function remove(invocation: Invocation, given: string, unasked: boolean): Promise<void> {
  const { client, output } = invocation;
  const run = await readRun(invocation, given);
  const question = `Delete ${run.id} (${run.plan.name}@${run.plan.version}, ${run.status}) for good?`;
  if (!unasked && !(await confirmed(output, question, `kai run delete ${run.id} --yes`))) {
    output.say('Nothing was deleted.');
    invocation.exitCode = exitCodes.error;
    return;
  }
  await client.runs.remove(run.id);
  if (output.json) output.document({ id: run.id, deleted: true });
  else output.say(`Deleted ${run.id}.`);
}
