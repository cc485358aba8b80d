import type { Permission } from '#core/policy/permissions.ts';
import type { OfferAction } from '#schemas/again.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { Run } from '#schemas/run.ts';

/** What of a run the offers are made of. */
export type OfferedRun = Pick<Run, 'id' | 'plan' | 'input' | 'labels' | 'cache'>;

export interface Offer {
  action: OfferAction;
  text: string;
  permission: Permission;
  path: string;
  body: JsonObject;
  needsIdempotencyKey: boolean;
  /** The words after `kai`, and what it reads from standard input; null: nothing. */
  kai: { words: string[]; input: JsonObject | null };
}

/** Largest input that is written out, in characters of JSON: a command that nobody can read or paste helps nobody. */
const longestInput = 10_000;

/** When a schedule starts that is made of a run, until somebody writes another time: every day at nine. */
const daily = '0 9 * * *';

/** What can be made of a run; with why not more, where its input is too large to be written out. */
export function offersOf(run: OfferedRun): { offers: Offer[]; note: string | null } {
  const length = JSON.stringify(run.input).length;
  if (length <= longestInput) return { offers: [again(run), start(run), schedule(run), trigger(run)], note: null };
  return {
    offers: [again(run)],
    note: `The input has ${length.toLocaleString('en')} characters, too many to write out. Read it with kai run get ${run.id} --json, and give it as a file.`,
  };
}

const again = ({ id, plan }: OfferedRun): Offer => ({
  action: 'again',
  text: `Run ${plan.name}@${plan.version} again, with the same input`,
  permission: 'runs:start',
  path: `/v1/runs/${id}/replay`,
  body: {},
  needsIdempotencyKey: true,
  kai: { words: ['run', 'replay', id], input: null },
});

function start(run: OfferedRun): Offer {
  const plan = `${run.plan.name}@${run.plan.version}`;
  const labels = labelsOf(run);
  return {
    action: 'start',
    text: `Start a run like it`,
    permission: 'runs:start',
    path: '/v1/runs',
    body: { plan, input: run.input, ...(labels === null ? {} : { labels }), ...(run.cache ? {} : { cache: false }) },
    needsIdempotencyKey: true,
    kai: { words: ['run', 'start', plan, ...labelWords(labels), ...(run.cache ? [] : ['--no-cache'])], input: run.input },
  };
}

function schedule(run: OfferedRun): Offer {
  const name = nameFrom(run);
  const plan = run.plan.name;
  const labels = labelsOf(run);
  return {
    action: 'schedule',
    text: 'Start it every day at nine, UTC: write another time as you need it',
    permission: 'schedules:write',
    path: '/v1/schedules',
    body: { name, plan, input: run.input, ...(labels === null ? {} : { labels }), spec: { cron: [daily] } },
    needsIdempotencyKey: false,
    kai: { words: ['schedule', 'create', name, '--plan', plan, '--cron', daily, ...labelWords(labels)], input: run.input },
  };
}

function trigger(run: OfferedRun): Offer {
  const name = nameFrom(run);
  const plan = run.plan.name;
  const labels = labelsOf(run);
  const input = literally(run.input) as JsonObject;
  return {
    action: 'trigger',
    text: 'Start it by a webhook: take from the delivery what shall differ, as in ${body.title}',
    permission: 'triggers:write',
    path: '/v1/triggers',
    body: { name, plan, scheme: 'bearer', input, ...(labels === null ? {} : { labels }) },
    needsIdempotencyKey: false,
    kai: { words: ['trigger', 'create', name, '--plan', plan, '--scheme', 'bearer', ...labelWords(labels)], input },
  };
}

/** A name that is free, as good as surely: the plan's, and the end of the run's id. */
const nameFrom = ({ id, plan }: OfferedRun): string => `${plan.name.slice(0, 57)}-${id.slice(-6)}`;

/** Labels that a start may give; those of another form can only be the plan's own, which come by themselves. */
function labelsOf({ labels }: OfferedRun): Record<string, string> | null {
  const given = Object.entries(labels).filter(([name, value]) => /^[a-z][a-z0-9_.-]{0,62}$/.test(name) && value.length <= 200);
  return given.length === 0 ? null : Object.fromEntries(given.slice(0, 32));
}

const labelWords = (labels: Record<string, string> | null): string[] =>
  Object.entries(labels ?? {}).flatMap(([name, value]) => ['--label', `${name}=${value}`]);

/** Where expressions are read, a text that only looks like one stays what it was. */
function literally(value: Json): Json {
  if (typeof value === 'string') return value.replaceAll('${', () => '$${');
  if (Array.isArray(value)) return value.map(literally);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, literally(member)]));
  return value;
}
