import type { Command } from 'commander';
import type { OverlapPolicy, Schedule, SetSchedule } from '#schemas/schedule.ts';
import { confirmed } from '../confirm.ts';
import { exitCodes } from '../exit-codes.ts';
import { usageFault } from '../faults.ts';
import type { Invocation } from '../invocation.ts';
import { addListOptions, type ListOptions, showPage } from '../lists.ts';
import {
  addDefinitionOptions,
  addSpecOptions,
  type DefinitionOptions,
  overlapOption,
  readDefinition,
  readSpecOptions,
  type SpecOptions,
} from '../schedule-definition.ts';
import { describeBackfill, describePreview, describeSchedule, startCells, stateOf } from '../schedule-view.ts';
import { resolveScheduleId } from '../short-ids.ts';
import { visibleLine } from '../terminal-text.ts';
import { describeInstant, readInstant } from '../times.ts';

const scheduleArgument = ['<schedule>', 'its name, or its id'] as const;

export function defineSchedule(schedule: Command, invocation: Invocation): void {
  defineReading(schedule, invocation);
  defineChanging(schedule, invocation);
  defineOrders(schedule, invocation);
}

function defineReading(schedule: Command, invocation: Invocation): void {
  addListOptions(schedule.command('list').summary('schedules, by name'))
    .option('--plan <name>', 'of this plan')
    .action(async (options: ListOptions & { plan?: string }) => {
      const now = Date.now();
      showPage(invocation, await invocation.client.schedules.list({ ...options }), {
        headings: ['SCHEDULE', 'STATE', 'PLAN', 'WHEN', 'NEXT', 'LAST'],
        row: (item) => [item.name, stateOf(item), item.plan, visibleLine(item.reading), nextOf(item, now), lastOf(item)],
        empty: 'There is no schedule. Make one: kai schedule create NAME --plan PLAN --cron "0 9 * * mon-fri"',
      });
    });
  schedule
    .command('get')
    .summary('a schedule: what it means, the next ten times, its last starts')
    .argument(...scheduleArgument)
    .action(async (given: string) => {
      show(invocation, (await invocation.client.schedules.get(await resolveScheduleId(invocation.client, given))).value);
    });
  addListOptions(schedule.command('starts').summary('what came of each time it was due'))
    .argument(...scheduleArgument)
    .action(async (given: string, options: ListOptions) => {
      const { client } = invocation;
      const now = Date.now();
      showPage(invocation, await client.schedules.starts(await resolveScheduleId(client, given), { ...options }), {
        headings: ['DUE', '', 'KIND', 'STATUS', 'RUN'],
        row: (start) => startCells(start, now),
        empty: 'It has not been due yet.',
      });
    });
  addSpecOptions(schedule.command('preview').summary('what a spec means and when it is next due; saves nothing'))
    .option('-n, --count <count>', 'how many times, 1 to 100', Number, 10)
    .action(async (options: SpecOptions & { count: number }) => {
      const { client, output } = invocation;
      const spec = await readSpecOptions(output, options, null);
      if (spec === null) throw usageFault('Nothing says when.', 'Say when: --cron "0 9 * * mon-fri", --every 2h or --spec-file FILE');
      const preview = await client.schedules.preview({ spec, count: options.count });
      if (output.json) output.document(preview);
      else output.data(describePreview(preview, Date.now()));
    });
}

function defineChanging(schedule: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  addDefinitionOptions(
    schedule
      .command('create')
      .summary('make a schedule; it acts with your rights as they are at each start')
      .argument('<name>', 'lower-case letters, digits, hyphens'),
  )
    .requiredOption('--plan <plan>', 'NAME (its newest version at each start), or NAME@VERSION')
    .option('--paused', 'make it paused')
    .action(async (name: string, options: DefinitionOptions & { paused?: boolean }) => {
      const definition = await readDefinition(invocation, options, null);
      show(invocation, await client.schedules.create({ name, ...definition, ...(options.paused === true ? { paused: true } : {}) }));
    });
  addDefinitionOptions(
    schedule
      .command('set')
      .summary('change what is named; from then on it acts with your rights')
      .argument(...scheduleArgument),
  )
    .option('--plan <plan>', 'NAME, or NAME@VERSION')
    .action(async (given: string, options: DefinitionOptions & { limit?: boolean }) => {
      const { value, etag } = await client.schedules.get(await resolveScheduleId(client, given));
      const definition = await readDefinition(invocation, options, definitionOf(value));
      const unlimited = options.limit === false ? { runsAtMost: null } : {};
      show(invocation, await client.schedules.set(value.id, { ...definition, ...unlimited } as unknown as SetSchedule, etag));
    });
  for (const verb of ['pause', 'resume'] as const) {
    schedule
      .command(verb)
      .summary(verb === 'pause' ? 'start nothing by the clock until it is resumed' : 'go on; what was due meanwhile is not made up for')
      .argument(...scheduleArgument)
      .option('--note <text>', 'why')
      .action(async (given: string, options: { note?: string }) => {
        show(invocation, await client.schedules.pause(await resolveScheduleId(client, given), verb, { ...options }));
      });
  }
  schedule
    .command('remove')
    .summary('remove a schedule; its runs stay')
    .argument(...scheduleArgument)
    .action(async (given: string) => {
      const { value, etag } = await client.schedules.get(await resolveScheduleId(client, given));
      await client.schedules.remove(value.id, etag);
      if (output.json) output.document({ id: value.id, name: value.name, removed: true });
      else output.say(`Removed ${value.name}; its runs stay.`);
    });
}

function defineOrders(schedule: Command, invocation: Invocation): void {
  const { client, output } = invocation;
  schedule
    .command('run')
    .summary('start a run of it now, paused or not')
    .argument(...scheduleArgument)
    .addOption(overlapOption())
    .action(async (given: string, options: { overlap?: OverlapPolicy }) => {
      const order = await client.schedules.run(await resolveScheduleId(client, given), { ...options });
      if (output.json) output.document(order);
      else output.say(`Ordered for ${order.nominalAt[0] ?? 'now'}. See what came of it: kai schedule starts ${given}`);
    });
  schedule
    .command('backfill')
    .summary('start a run for each time that was due in a range')
    .argument(...scheduleArgument)
    .requiredOption('--from <instant>', 'the first instant')
    .option('--to <instant>', 'the last instant; now when absent')
    .addOption(overlapOption())
    .option('--dry-run', 'only show what would start')
    .option('-y, --yes', 'do not ask')
    .action(async (given: string, options: BackfillOptions) => {
      await backfill(invocation, given, options);
    });
}

interface BackfillOptions {
  from: string;
  to?: string;
  overlap?: OverlapPolicy;
  dryRun?: boolean;
  yes?: boolean;
}

/** Shows what would start, and asks: a backfill may be hundreds of runs. */
async function backfill(invocation: Invocation, given: string, options: BackfillOptions): Promise<void> {
  const { client, output } = invocation;
  const now = Date.now();
  const instantOf = (text: string, name: string): string => {
    const at = readInstant(text, now);
    if (at === null) throw usageFault(`${name} ${text}: write an instant with its offset, as in 2031-01-31T09:00:00Z.`);
    return at;
  };
  const range = { from: instantOf(options.from, '--from'), to: options.to === undefined ? new Date(now).toISOString() : instantOf(options.to, '--to') };
  const id = await resolveScheduleId(client, given);
  if (options.dryRun === true || options.yes !== true) {
    const preview = await client.schedules.previewBackfill(id, range);
    if (options.dryRun === true) {
      if (output.json) output.document(preview);
      else output.data(describeBackfill(preview, now));
      return;
    }
    output.say(describeBackfill(preview, now));
    if (!(await confirmed(output, 'Start these?', 'Start without being asked: --yes'))) {
      output.say('Nothing was started.');
      invocation.exitCode = exitCodes.error;
      return;
    }
  }
  const order = await client.schedules.backfill(id, { ...range, ...(options.overlap === undefined ? {} : { overlap: options.overlap }) });
  if (output.json) output.document(order);
  else output.say(`Ordered ${order.starts} ${order.starts === 1 ? 'start' : 'starts'}. See what came of them: kai schedule starts ${given}`);
}

/** Of a schedule, what may be set. */
const definitionOf = ({ plan, input, labels, priority, spec, overlap, catchupWindowMs, pauseOnFailure, runsAtMost }: Schedule): SetSchedule => ({
  plan,
  input,
  ...(Object.keys(labels).length === 0 ? {} : { labels }),
  ...(priority === null ? {} : { priority }),
  spec,
  overlap,
  catchupWindowMs,
  pauseOnFailure,
  runsAtMost,
});

function nextOf({ next }: Schedule, now: number): string {
  const at = next.find((time) => time.at !== null)?.at;
  return at === undefined || at === null ? '' : describeInstant(at, now);
}

const lastOf = ({ last, missed }: Schedule): string => `${last[0]?.runStatus ?? last[0]?.status ?? ''}${missed === 0 ? '' : `, ${missed} missed`}`;

function show({ output }: Invocation, schedule: Schedule): void {
  if (output.json) output.document(schedule);
  else output.data(describeSchedule(schedule, Date.now()));
}
