import type { LongFacts, RunFacts, StepFacts } from './long-facts.ts';
import type { LongLoad } from './long-load.ts';
import { effectsOfEach, type LongPlan } from './long-plans.ts';
import type { Arrival } from './sink.ts';
import { noVerdict, type Verdict } from './verdict.ts';

type Judged = Pick<LongLoad, 'plan' | 'runId' | 'prefix'>;

/** What became of one run of the long scenario and of all that it did. Everything here is read from outside; nothing is asked. */
export function judgeLong(load: Judged, facts: LongFacts): Verdict {
  const [root] = facts.runs;
  if (root === undefined) return { ...noVerdict(), runs: 1, missing: effectsOfEach, faults: [named(load, 'was accepted and is gone')] };
  const effects = judgeEffects(load, facts.arrivals);
  const spent = facts.runs.reduce((sum, run) => sum + attemptsSpent(run), 0);
  const tooMany = Math.max(0, spent - load.plan.refused);
  const faults = [
    ...judgeEnd(load.plan, root),
    ...facts.runs.flatMap((run) => [...judgeRecord(load.plan, run), ...judgeRecorded(run, facts)]),
    ...judgeLedger(load.plan, facts),
    ...judgeReuse(load.plan, root),
    ...judgeUndos(load.plan, facts.runs, effects.undone),
    ...effects.faults,
    ...(tooMany > 0 ? [`has spent ${tooMany} attempts`] : []),
  ];
  return {
    runs: 1,
    effects: effects.expected,
    missing: effects.missing,
    doubled: effects.doubled,
    repeated: effects.repeated,
    uncertain: facts.runs.reduce((sum, run) => sum + run.uncertain, 0),
    attemptsSpent: tooMany,
    faults: faults.map((fault) => named(load, fault)),
  };
}

const named = ({ plan, runId }: Judged, fault: string): string => `${plan.kind} ${runId}: ${fault}`;

function judgeEnd({ status, error }: LongPlan, root: RunFacts): string[] {
  return root.status === status && root.error === error
    ? []
    : [`ended as ${root.status} (${root.error ?? 'no error'}) instead of ${status} (${error ?? 'no error'})`];
}

const unfinished = new Set(['pending', 'running', 'waiting', 'retrying', 'uncertain']);
const attemptsSpent = (run: RunFacts): number => run.steps.reduce((sum, { attempt }) => sum + Math.max(0, attempt - 1), 0);

function judgeRecord({ person }: LongPlan, run: RunFacts): string[] {
  const faults: string[] = [];
  if (run.accepted !== 1) faults.push(`${run.id} was accepted ${run.accepted} times`);
  // Where a kill took the answer that it would have failed of, nobody had to retry it.
  const mostEnds = person === 'retries' ? 2 : 1;
  if (run.ends < 1 || run.ends > mostEnds) faults.push(`${run.id} has ${run.ends} ends on record`);
  if (run.twice > 0) faults.push(`${run.id} has ${run.twice} steps that are on record as succeeded twice`);
  for (const { path, status } of run.steps) if (unfinished.has(status)) faults.push(`${run.id} has ended and its step ${path} is ${status}`);
  return faults;
}

/** Temporal's record says the same: the run's workflow has ended of its own accord, it is the one that worked on the run, and on these very steps. */
function judgeRecorded(run: RunFacts, { recorded }: LongFacts): string[] {
  const execution = recorded.get(run.id) ?? null;
  if (execution === null) return [`${run.id} is ${run.status}, and Temporal knows nothing of it`];
  const faults: string[] = [];
  if (execution.status !== 'completed') faults.push(`${run.id} is ${run.status}, and its workflow ${execution.status}`);
  if (execution.chain !== run.claimedBy) faults.push(`${run.id} is worked on by ${run.claimedBy ?? 'nobody'}, and Temporal has ${execution.chain}`);
  if (execution.undone !== 0) faults.push(`${run.id} has ended, and Temporal has ${execution.undone} activities that have not`);
  const places = new Set(run.steps.filter(({ undoes, status }) => undoes === null && status !== 'skipped').map(({ place }) => place));
  const here = [...places].filter((place) => !execution.places.includes(place));
  const there = execution.places.filter((place) => !places.has(place));
  // Of a run that was reopened Temporal is asked for the last execution alone.
  if (here.length > 0 && run.generation === 1) faults.push(`${run.id} has worked on ${here.join(', ')}, of which Temporal knows nothing`);
  if (there.length > 0) faults.push(`${run.id} has worked on ${there.join(', ')} according to Temporal alone`);
  return faults;
}

/** Each effect has happened once, and each time that the outside was asked was on record before. */
function judgeLedger({ looks }: LongPlan, { runs, arrivals }: LongFacts): string[] {
  const effects = runs.flatMap((run) => run.effects);
  const isLook = (path: string): boolean => looks.some((step) => path.startsWith(`${step}#`));
  const faults = effects.filter(({ path, status }) => status !== 'happened' && !isLook(path)).map(({ path, status }) => `the effect of ${path} is ${status}`);
  const calls = effects.reduce((sum, effect) => sum + effect.calls, 0);
  if (arrivals.length > calls) faults.push(`the sink was asked ${arrivals.length} times, of which ${calls} are on record`);
  return faults;
}

const judgeReuse = ({ reused }: LongPlan, root: RunFacts): string[] =>
  reused.filter((path) => root.steps.find((step) => step.path === path)?.reused !== true).map((path) => `${path} has reused no output`);

interface JudgedEffects {
  expected: number;
  missing: number;
  doubled: number;
  repeated: number;
  /** Numbers of the effects that were taken back, in this order. */
  undone: number[];
  faults: string[];
}

function judgeEffects({ plan, prefix }: Judged, arrivals: readonly Arrival[]): JudgedEffects {
  const numbers = Array.from({ length: effectsOfEach }, (_, number) => number);
  const expected = [...numbers.map((number) => `do/${number}`), ...(plan.undone === null ? [] : numbers.map((number) => `undo/${number}`))];
  const heard = arrivals.filter(({ path, refused }) => !refused && path !== `${prefix}look`);
  const seen = Map.groupBy(heard, ({ path }) => path.slice(prefix.length));
  const more = [...seen.values()].filter((same) => same.length > 1);
  const faults = [...seen.keys()].filter((path) => !expected.includes(path)).map((path) => `the sink has seen ${path}, which nobody wants`);
  for (const [path, same] of seen)
    if (new Set(same.map(({ key }) => key)).size > 1) faults.push(`${path} came with several keys: ${same.map(({ key }) => key).join(', ')}`);
  return {
    expected: expected.length,
    missing: expected.filter((path) => !seen.has(path)).length,
    // With a key it is an effect that must not be asked for again; without one it is known by its path, and may be.
    doubled: more.filter(([first]) => first?.key !== null).length,
    repeated: more.filter(([first]) => first?.key === null).length,
    undone: [...seen.keys()].filter((path) => path.startsWith('undo/')).map((path) => Number(path.slice('undo/'.length))),
    faults,
  };
}

const endOf = (step: StepFacts | undefined): number => step?.finishedAt ?? 0;

/** Each once, and what ended last is taken back first, in the world and on record; what a run did is taken back after what the runs did that it called. */
function judgeUndos({ undone: paths }: LongPlan, runs: readonly RunFacts[], undone: readonly number[]): string[] {
  if (paths === null) return [];
  const steps = runs.flatMap((run) => run.steps.map((step) => ({ run, step, path: `${run.calledFrom === null ? '' : `${run.calledFrom}/`}${step.path}` })));
  const done = paths.map((path) => steps.find((step) => step.path === path));
  const faults = done.flatMap((found, number) =>
    found?.step.status === 'compensated' ? [] : [`${paths[number]} is ${found?.step.status ?? 'not there'}, not compensated`],
  );
  const inOrder = undone.every((number, place) => undone.slice(place + 1).every((later) => mayFollow(done[number], done[later])));
  if (!inOrder) faults.push(`taken back in the order ${undone.map((number) => paths[number]).join(', ')}`);
  for (const run of runs) faults.push(...judgeRecordedUndos(run));
  return faults;
}

type Placed = { run: RunFacts; step: StepFacts } | undefined;

/** Whether the second may be taken back after the first. */
function mayFollow(first: Placed, second: Placed): boolean {
  if (first?.run !== second?.run) return first?.run.calledFrom !== null || second?.run.calledFrom === null;
  return endOf(first?.step) >= endOf(second?.step);
}

function judgeRecordedUndos({ id, steps }: RunFacts): string[] {
  const recorded = steps.filter(({ undoes }) => undoes !== null).toSorted((one, other) => endOf(one) - endOf(other));
  const ends = recorded.map(({ undoes }) => endOf(steps.find(({ path }) => path === undoes)));
  return ends.every((end, index) => index === 0 || (ends[index - 1] ?? 0) >= end)
    ? []
    : [`${id} has on record that it was taken back in the order ${recorded.map(({ undoes }) => undoes).join(', ')}`];
}

/** Runs of one line come one after the other, first come first served, and do nothing outside at the same time. */
export function judgeLines(runs: readonly { line: string; run: RunFacts }[]): string[] {
  const faults: string[] = [];
  for (const same of Map.groupBy(runs, ({ line }) => line).values()) {
    const sorted = same.map(({ run }) => run).toSorted((one, other) => one.createdAt - other.createdAt);
    sorted.forEach((run, index) => {
      const before = sorted[index - 1];
      if (before !== undefined && (run.startedAt ?? 0) < (before.finishedAt ?? Infinity))
        faults.push(`${run.id} began before ${before.id} had ended, of the same key`);
    });
  }
  return faults;
}
