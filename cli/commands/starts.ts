import type { Command } from 'commander';
import type { Starts } from '../client.ts';
import { confirmed } from '../confirm.ts';
import { exitCodes } from '../exit-codes.ts';
import { usageFault } from '../faults.ts';
import type { Invocation } from '../invocation.ts';
import { visibleLine } from '../terminal-text.ts';
import { describeInstant } from '../times.ts';

interface AllOptions {
  all?: boolean;
}

/** One run is paused by `kai run pause`: whoever leaves the option out may mean that. */
function demandAll(options: AllOptions, verb: 'pause' | 'resume'): void {
  if (options.all !== true)
    throw usageFault(`kai ${verb} is about all new runs of the workspace.`, `Say so: kai ${verb} --all; of one run: kai run ${verb} RUN`);
}

export function definePauseAll(pause: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  pause
    .option('--all', 'all new runs of the workspace')
    .requiredOption('--reason <text>', 'why; whoever waits reads it')
    .action(async (options: AllOptions & { reason: string }) => {
      demandAll(options, 'pause');
      const starts = await client.starts.hold(options.reason);
      if (output.json) output.document(starts);
      else output.say(`${describeHold(starts)} What runs goes on.\nLet them start again: kai resume --all`);
    });
}

export function defineResumeAll(resume: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  resume
    .option('--all', 'all new runs of the workspace')
    .option('--dry-run', 'only show what would start')
    .option('-y, --yes', 'do not ask')
    .action(async (options: AllOptions & { dryRun?: boolean; yes?: boolean }) => {
      demandAll(options, 'resume');
      const starts = await client.starts.get();
      if (starts.hold === null || options.dryRun === true) return tell(invocation, starts);
      if (options.yes !== true) {
        if (!output.json) tell(invocation, starts);
        if (!(await confirmed(output, 'Let new runs start again?', 'kai resume --all --yes'))) {
          output.say('Nothing was done.');
          invocation.exitCode = exitCodes.error;
          return;
        }
      }
      const released = await client.starts.release();
      if (output.json) output.document(released);
      else output.say(`New runs start again${released.waiting === 0 ? '' : `: first the ${describeCount(released.waiting)} that waited, in their order`}.`);
    });
}

function tell({ output }: Invocation, starts: Starts): void {
  if (output.json) {
    output.document(starts);
    return;
  }
  output.say(describeHold(starts));
  if (starts.hold === null) return;
  output.say(starts.waiting === 0 ? 'None waits.' : `${describeCount(starts.waiting)} ${starts.waiting === 1 ? 'waits' : 'wait'}. In this order:`);
  const now = Date.now();
  for (const run of starts.next) output.say(`  ${run.runId} ${run.plan}, accepted ${describeInstant(run.createdAt, now)}`);
  if (starts.waiting > starts.next.length) output.say(`  … and ${(starts.waiting - starts.next.length).toLocaleString('en-US')} more`);
}

export const describeHold = ({ hold }: Starts): string =>
  hold === null ? 'New runs start as they come.' : `No new run starts (held ${describeInstant(hold.since, Date.now())}: ${visibleLine(hold.reason)}).`;

export function describeAdmission({ admission: { runsAtOnce, because, atWork, waiting } }: Starts): string {
  const why = because === 'no_fairness' ? 'Temporal does not share out fairly: kai doctor' : 'kai settings set runsAtOnce N';
  return `${describeCount(atWork)}, at most ${(runsAtOnce ?? atWork).toLocaleString('en-US')} at once (${why}); ${describeCount(waiting)} ${waiting === 1 ? 'waits' : 'wait'} for room`;
}

const describeCount = (count: number): string => `${count.toLocaleString('en-US')} run${count === 1 ? '' : 's'}`;
