import { type Command, InvalidArgumentError, Option } from 'commander';
import { overlapPolicies, type OverlapPolicy, type ScheduleSpec, type SetSchedule } from '#schemas/schedule.ts';
import { asJsonObject, type JsonObject } from '#schemas/json.ts';
import type { Client } from './client.ts';
import { usageFault } from './faults.ts';
import { readTextFile } from './input-files.ts';
import { collect, readPairs } from './lists.ts';
import type { Output } from './output.ts';
import { parsePlanReference } from './plan-reference.ts';
import { readInput } from './run/input.ts';
import { readDuration, readInstant } from './times.ts';

export interface SpecOptions {
  cron?: string[];
  every?: number[];
  specFile?: string;
  timezone?: string;
  jitter?: number;
  from?: string;
  until?: string;
}

export interface DefinitionOptions extends SpecOptions {
  plan?: string;
  input?: string[];
  inputFile?: string;
  label?: string[];
  overlap?: OverlapPolicy;
  catchUp?: number;
  pauseOnFailure?: boolean;
  runs?: number;
}

function durationArgument(text: string): number {
  const ms = readDuration(text);
  if (ms === null || ms === 0) throw new InvalidArgumentError('Write it as 90s, 15m, 2h or 1d.');
  return ms;
}

function instantArgument(text: string): string {
  const at = readInstant(text, Date.now());
  if (at === null) throw new InvalidArgumentError('Write an instant with its offset (2031-01-31T09:00:00Z), or +15m.');
  return at;
}

function countArgument(text: string): number {
  if (!/^[1-9][0-9]{0,6}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1 on.');
  return Number(text);
}

export const overlapOption = (): Option => new Option('--overlap <policy>', 'what to do while an earlier run is open').choices(overlapPolicies);

export const addSpecOptions = (command: Command): Command =>
  command
    .option('--cron <line>', 'minute, hour, day of month, month, day of week, as in "0 9 * * mon-fri" (repeat for several)', collect)
    .option('--every <duration>', '90s, 15m, 2h, 1d (repeat for several)', (text: string, before: number[] | undefined) => [
      ...(before ?? []),
      durationArgument(text),
    ])
    .option('--spec-file <file>', 'the whole spec as YAML or JSON: cron, calendars, intervals, except, timezone …; - for standard input')
    .option('--timezone <zone>', 'as in Europe/Berlin; UTC when absent')
    .option('--jitter <duration>', 'put each start off by up to so long', durationArgument)
    .option('--from <instant>', 'no start before', instantArgument)
    .option('--until <instant>', 'no start after', instantArgument);

export const addDefinitionOptions = (command: Command): Command =>
  addSpecOptions(command)
    .option('-i, --input <key=value>', "an input, typed by the plan's input schema (repeat for several)", collect)
    .option('--input-file <file>', 'inputs from a JSON or YAML file; - for standard input')
    .option('-l, --label <name=value>', 'a label of each run (repeat for several)', collect)
    .addOption(overlapOption())
    .option('--catch-up <duration>', 'make up for starts that were due while kOS was off, when they are not older', durationArgument)
    .option('--pause-on-failure', 'pause when a run of it fails')
    .option('--no-pause-on-failure', 'go on when a run of it fails')
    .option('--runs <count>', 'so many runs, then no more', countArgument)
    .option('--no-limit', 'without end');

/** What the options say of a spec, over what was there. Null: nothing. */
export async function readSpecOptions(output: Output, options: SpecOptions, before: ScheduleSpec | null): Promise<JsonObject | null> {
  const given: JsonObject = {
    ...(options.specFile === undefined ? {} : await readSpecFile(options.specFile, output)),
    ...(options.cron === undefined ? {} : { cron: options.cron }),
    ...(options.every === undefined ? {} : { intervals: options.every.map((everyMs) => ({ everyMs })) }),
    ...(options.timezone === undefined ? {} : { timezone: options.timezone }),
    ...(options.jitter === undefined ? {} : { jitterMs: options.jitter }),
    ...(options.from === undefined ? {} : { startAt: options.from }),
    ...(options.until === undefined ? {} : { endAt: options.until }),
  };
  if (Object.keys(given).length === 0) return null;
  // Times that are given take the place of all that were there: a schedule at nine is no longer one every hour.
  const replaces = ['cron', 'intervals', 'calendars'].some((name) => name in given);
  const kept = asJsonObject(before ?? {});
  return { ...kept, ...(replaces ? { cron: [], intervals: [], calendars: [] } : {}), ...given };
}

async function readSpecFile(path: string, output: Output): Promise<JsonObject> {
  const { parse } = await import('yaml');
  let value: unknown;
  try {
    value = parse(await readTextFile(path, output), { maxAliasCount: 0, uniqueKeys: true });
  } catch (error) {
    if (error instanceof Error && error.name.startsWith('YAML')) throw usageFault(`${path} is neither JSON nor YAML: ${error.message}`);
    throw error;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw usageFault(`${path} must hold a spec: cron, calendars, intervals …`);
  return value as JsonObject;
}

/** The definition that the options make, over what was there. */
export async function readDefinition(context: { client: Client; output: Output }, options: DefinitionOptions, before: SetSchedule | null): Promise<JsonObject> {
  const { client, output } = context;
  const plan = options.plan ?? before?.plan;
  if (plan === undefined) throw usageFault('A schedule starts runs of a plan, and none is named.', 'Name it: --plan NAME, or NAME@VERSION');
  const spec = await readSpecOptions(output, options, before?.spec ?? null);
  if (spec === null && before === null) throw usageFault('Nothing says when.', 'Say when: --cron "0 9 * * mon-fri", --every 2h or --spec-file FILE');
  const { name, version } = parsePlanReference(plan);
  const hasInput = options.input !== undefined || options.inputFile !== undefined;
  const document = hasInput ? (await client.plans.get(name, version)).document : null;
  const input =
    document === null ? {} : { input: await readInput({ output, plan: { name, document }, pairs: options.input ?? [], file: options.inputFile ?? null }) };
  return {
    ...asJsonObject(before ?? {}),
    plan,
    ...input,
    ...(spec === null ? {} : { spec }),
    ...(options.label === undefined ? {} : { labels: readPairs(options.label, '--label') }),
    ...(options.overlap === undefined ? {} : { overlap: options.overlap }),
    ...(options.catchUp === undefined ? {} : { catchupWindowMs: options.catchUp }),
    ...(options.pauseOnFailure === undefined ? {} : { pauseOnFailure: options.pauseOnFailure }),
    ...(options.runs === undefined ? {} : { runsAtMost: options.runs }),
  };
}
