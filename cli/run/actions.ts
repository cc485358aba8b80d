import { type Command, InvalidArgumentError } from 'commander';
import type { Run } from '#schemas/run.ts';
import type { Invocation } from '../invocation.ts';
import { resolveRunId, runArgument } from '../short-ids.ts';

interface ReasonVerb {
  verb: string;
  summary: string;
  /** What is said of the run when it is done. */
  told: (run: Run) => string;
}

const reasonVerbs: readonly ReasonVerb[] = [
  {
    verb: 'terminate',
    summary: 'end a run at once, without finishing or undoing anything',
    told: ({ id }) => `${id} is terminated. Go on with it: kai run retry ${id}`,
  },
  {
    verb: 'pause',
    summary: 'finish the steps that run and start no new one; deadlines stay',
    told: ({ id }) => `${id} is paused: steps that run finish, no new one starts. Go on: kai run resume ${id}`,
  },
  {
    verb: 'retry',
    summary: 'go on with a run that failed or was stopped: only what failed or did not run runs again',
    told: (run) => `${run.id} ${describeRetried(run)} Watch it: kai run watch ${run.id}`,
  },
  { verb: 'resume', summary: 'let a paused run go on', told: ({ id }) => `${id} goes on. Watch it: kai run watch ${id}` },
];

/** A start that is still to come is kept, a deadline that has passed is not: the answer tells, whatever the clock is here. */
function describeRetried({ status, ending, startAt, startedAt, deadlineAt, deadlineAskedAt }: Run): string {
  if (ending !== null) return 'goes on undoing what it did.';
  const startsLater = startAt !== null && startedAt === null && status === 'queued';
  const goesOn = startsLater ? `starts at ${startAt}, as it was to.` : 'goes on.';
  if (deadlineAskedAt === null || deadlineAt === deadlineAskedAt) return goesOn;
  // One that still holds bounds the run, or something earlier does.
  const passed = deadlineAt === null || Date.parse(deadlineAt) > Date.parse(deadlineAskedAt);
  return `${goesOn} Its deadline (${deadlineAskedAt}) ${passed ? 'has passed and no longer holds' : 'still holds'}.`;
}

/** What people do to one run. */
export function defineRunActions(run: Command, invocation: Invocation): void {
  for (const { verb, summary, told } of reasonVerbs) {
    run
      .command(verb)
      .summary(summary)
      .argument(...runArgument)
      .option('--reason <text>', 'kept on the record')
      .action(async (given: string, { reason }: { reason?: string }) => {
        await actOn(invocation, given, verb, reason === undefined ? {} : { reason }, told);
      });
  }
  run
    .command('cancel')
    .summary('ask a run to end: what runs is stopped, nothing new starts, and what was done is undone where the plan says how')
    .argument(...runArgument)
    .option('--reason <text>', 'kept on the record')
    .option('--no-undo', 'let stay what its steps did')
    .action(async (given: string, { reason, undo }: { reason?: string; undo: boolean }) => {
      const body = { ...(reason === undefined ? {} : { reason }), ...(undo ? {} : { undo }) };
      await actOn(invocation, given, 'cancel', body, ({ id }) => `${id} is asked to end. Watch it: kai run watch ${id}`);
    });
  run
    .command('priority')
    .summary('serve a run earlier or later')
    .argument(...runArgument)
    .argument('<priority>', 'from 1 (first) to 5 (last); 3 is usual', parsePriority)
    .action(async (given: string, priority: number) => {
      await actOn(invocation, given, 'priority', { priority }, ({ id }) => `${id} has priority ${priority}.`);
    });
}

export function parsePriority(text: string): number {
  const priority = Number(text);
  if (!/^[1-5]$/.test(text)) throw new InvalidArgumentError('It must be a number from 1 to 5.');
  return priority;
}

async function actOn({ client, output }: Invocation, given: string, verb: string, body: object, told: (run: Run) => string): Promise<void> {
  const run = await client.runs.act(await resolveRunId(client, given), verb, body);
  if (output.json) output.document(run);
  else output.say(told(run));
}
