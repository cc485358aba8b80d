import { expect, test } from 'vitest';
import type { LongFacts, Recorded, RunFacts, StepFacts } from './long-facts.ts';
import { longPlans } from './long-plans.ts';
import { judgeLines, judgeLong } from './long-verdict.ts';
import type { Arrival } from './sink.ts';

const planOf = (kind: string) => {
  const plan = longPlans.find((candidate) => candidate.kind === kind);
  if (plan === undefined) throw new Error(`There is no plan ${kind}.`);
  return plan;
};

const loadOf = (kind: string) => ({ plan: planOf(kind), runId: 'run_1', prefix: '/long/1/' });
const step = (path: string, more: Partial<StepFacts> = {}): StepFacts => ({
  path,
  place: path,
  status: 'succeeded',
  attempt: 1,
  undoes: null,
  finishedAt: 1,
  reused: false,
  ...more,
});

const done: readonly Arrival[] = [0, 1, 2, 3, 4].map((number) => ({ path: `/long/1/do/${number}`, key: number === 1 ? 'run_1/s1' : null, refused: false }));

const run: RunFacts = {
  id: 'run_1',
  status: 'succeeded',
  error: null,
  createdAt: 1,
  startedAt: 2,
  finishedAt: 3,
  accepted: 1,
  ends: 1,
  twice: 0,
  claimedBy: 'chain',
  generation: 1,
  calledFrom: null,
  steps: [0, 1, 2, 3, 4].map((number) => step(`s${number}`)),
  effects: [0, 1, 2, 3, 4].map((number) => ({ path: `s${number}`, status: 'happened', calls: 1 })),
  uncertain: 0,
};

function factsOf(more: Partial<RunFacts> = {}, arrivals: readonly Arrival[] = done, recorded: Partial<Recorded> = {}): LongFacts {
  const { steps } = { ...run, ...more };
  const places = steps.filter(({ undoes }) => undoes === null).map(({ place }) => place);
  return {
    runs: [{ ...run, ...more }],
    recorded: new Map([['run_1', { status: 'completed', chain: 'chain', undone: 0, places, ...recorded }]]),
    arrivals: [...arrivals],
  };
}

const judged = (facts: LongFacts) => judgeLong(loadOf('steps'), facts);

test('a run that is as it should be has no fault', () => {
  expect(judged(factsOf())).toMatchObject({ effects: 5, missing: 0, doubled: 0, repeated: 0, attemptsSpent: 0, faults: [] });
});

test('what the sink has not seen is missing', () => {
  expect(judged(factsOf({}, done.slice(1)))).toMatchObject({ missing: 1 });
});

test('what has a key and came twice is doubled, what is idempotent was asked for again', () => {
  expect(judged(factsOf({}, [...done, { path: '/long/1/do/1', key: 'run_1/s1', refused: false }]))).toMatchObject({ doubled: 1, repeated: 0 });
  expect(judged(factsOf({}, [...done, { path: '/long/1/do/0', key: null, refused: false }]))).toMatchObject({ doubled: 0, repeated: 1 });
});

test("an attempt that the sink refused is no effect, and the run's own", () => {
  const again = factsOf({ steps: [step('each[0]', { attempt: 2 })], effects: [{ path: 's', status: 'happened', calls: 6 }] }, [
    { path: '/long/1/do/0', key: null, refused: true },
    ...done,
  ]);
  expect(judgeLong(loadOf('retried'), again)).toMatchObject({ repeated: 0, attemptsSpent: 0, faults: [] });
});

test.each<[string, LongFacts, string]>([
  ['another end', factsOf({ status: 'failed', error: 'oh' }), 'ended as failed (oh) instead of succeeded (no error)'],
  ['two ends', factsOf({ ends: 2 }), 'run_1 has 2 ends on record'],
  ['a spent attempt', factsOf({ steps: [step('s0', { attempt: 2 })] }), 'has spent 1 attempts'],
  ['a step without an end', factsOf({ steps: [step('s0', { status: 'running' })] }), 'run_1 has ended and its step s0 is running'],
  ['another record in Temporal', factsOf({}, done, { status: 'failed' }), 'run_1 is succeeded, and its workflow failed'],
  ['another chain', factsOf({ claimedBy: 'other' }), 'run_1 is worked on by other, and Temporal has chain'],
  ['an activity without an end', factsOf({}, done, { undone: 1 }), 'run_1 has ended, and Temporal has 1 activities that have not'],
  ['a step that Temporal does not know', factsOf({}, done, { places: ['s0', 's1', 's2', 's3'] }), 'run_1 has worked on s4, of which Temporal knows nothing'],
  ['a step that only Temporal knows', factsOf({ steps: [] }, done, { places: ['s0'] }), 'run_1 has worked on s0 according to Temporal alone'],
  ['a call that is not on record', factsOf({ effects: [] }), 'the sink was asked 5 times, of which 0 are on record'],
  ['an effect without an outcome', factsOf({ effects: [{ path: 's0', status: 'uncertain', calls: 9 }] }), 'the effect of s0 is uncertain'],
  [
    'an effect of nobody',
    factsOf({}, [...done.slice(0, 4), { path: '/long/1/undo/4', key: null, refused: false }]),
    'the sink has seen undo/4, which nobody wants',
  ],
])('%s is a fault', (_what, facts, fault) => {
  expect(judged(facts).faults).toContain(`steps run_1: ${fault}`);
});

const paths = ['s0', 's1', 's2', 'each[0]', 'each[1]'];

/** Its items ended in the other order. */
function undoneIn(order: readonly number[]): LongFacts {
  const finishedAt = [1, 2, 3, 5, 4];
  const steps = paths.map((path, number) => step(path, { status: 'compensated', finishedAt: finishedAt[number] ?? 0 }));
  const undos = order.map((number, index) => step(`${paths[number]}~undo`, { undoes: paths[number] ?? '', finishedAt: 10 + index }));
  const arrivals = [...done, ...order.map((number) => ({ path: `/long/1/undo/${number}`, key: null, refused: false }))];
  const effects = [...steps, ...undos].map(({ path }) => ({ path, status: 'happened', calls: 1 }));
  return factsOf({ status: 'failed', error: 'expression_failed', steps: [...steps, ...undos], effects }, arrivals);
}

test('effects are taken back in the reverse of the order in which they ended', () => {
  expect(judgeLong(loadOf('undone'), undoneIn([3, 4, 2, 1, 0]))).toMatchObject({ effects: 10, missing: 0, faults: [] });
  expect(judgeLong(loadOf('undone'), undoneIn([4, 3, 2, 1, 0])).faults).toEqual([
    'undone run_1: taken back in the order each[1], each[0], s2, s1, s0',
    'undone run_1: run_1 has on record that it was taken back in the order each[1], each[0], s2, s1, s0',
  ]);
});

test('what a run did is taken back after what the runs did that it called', () => {
  const own = { ...run, status: 'cancelled', error: 'cancelled', steps: [step('s0', { status: 'compensated', finishedAt: 1 })], effects: [] };
  const called = [0, 1].map((index) => {
    const steps = ['one', 'two'].map((path, place) => step(path, { status: 'compensated', finishedAt: 2 + place }));
    const effects = [{ path: 'one', status: 'happened', calls: 9 }];
    return { ...run, id: `run_${index + 2}`, calledFrom: `inner[${index}]`, steps, effects };
  });
  const places = new Map([own, ...called].map(({ id, steps }) => [id, steps.map(({ place }) => place)]));
  const recorded = new Map([...places].map(([id, named]): [string, Recorded] => [id, { status: 'completed', chain: 'chain', undone: 0, places: named }]));
  const inOrder = (order: readonly number[]): LongFacts => ({
    runs: [own, ...called],
    recorded,
    arrivals: [...done, ...order.map((number) => ({ path: `/long/1/undo/${number}`, key: null, refused: false }))],
  });
  expect(judgeLong(loadOf('cutoff'), inOrder([2, 4, 3, 1, 0])).faults).toEqual([]);
  expect(judgeLong(loadOf('cutoff'), inOrder([2, 4, 3, 0, 1])).faults).toHaveLength(1);
  expect(judgeLong(loadOf('cutoff'), inOrder([1, 2, 4, 3, 0])).faults).toHaveLength(1);
});

test('an output that should have been reused and was not is a fault', () => {
  const steps = [0, 1, 2, 3].map((index) => step(`again[${index}]`, { reused: index !== 2 }));
  expect(judgeLong(loadOf('cached'), factsOf({ steps })).faults).toEqual(['cached run_1: again[2] has reused no output']);
});

test('two runs of one key that overlap are a fault', () => {
  const second = { ...run, id: 'run_2', createdAt: 2, startedAt: 3, finishedAt: 5 };
  expect(judgeLines([run, second].map((each) => ({ line: 'a', run: each })))).toEqual([]);
  expect(judgeLines([run, { ...second, startedAt: 2.5 }].map((each) => ({ line: 'a', run: each })))).toEqual([
    'run_2 began before run_1 had ended, of the same key',
  ]);
});
