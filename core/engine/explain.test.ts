import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { proofSize } from '#tests/rig/proof-size.ts';
import { randomPlan } from '#tests/engine-simulation/random-plan.ts';
import type { PlanShape } from '#schemas/shape.ts';
import { type Command, currentRules, decide } from './decide.ts';
import { explain } from './explain.ts';
import type { RunFactsForExplain } from './explain-facts.ts';
import type { Reason } from './reason.ts';
import { isOutcome, type Outcome } from './outcome.ts';
import { restoreState } from './state.ts';

const at = '2031-01-01T00:00:00.000Z';

const factsOf = (shape: PlanShape, letters: readonly string[], change: Partial<RunFactsForExplain> = {}): RunFactsForExplain => ({
  runId: 'run_1',
  status: 'running',
  final: false,
  createdAt: at,
  waitingFor: null,
  cancelRequestedAt: null,
  pausedAt: null,
  unnumberedSince: null,
  now: at,
  shape,
  stepIds: shape.steps.map((_, step) => `s${step}`),
  steps: shape.steps.map((_, step) => rowOf(step, letters[step] ?? '.')),
  waitingItems: [],
  pollers: 1,
  execution: 'running',
  workflowTaskAttempt: 1,
  activityAttempt: 1,
  pendingStart: null,
  ...change,
});

function rowOf(step: number, letter: string): RunFactsForExplain['steps'][number] {
  if (!isOutcome(letter)) return undefined;
  const status = { s: 'succeeded', k: 'skipped', f: 'failed', t: 'failed', u: 'uncertain', c: 'cancelled' }[letter];
  return { path: `s${step}`, status, outcome: letter === 'u' ? null : letter, attempt: 1, startedAt: at, waitingFor: null, items: null };
}

/** What the scheduler does next from these outcomes, were nothing under way. */
function next(shape: PlanShape, letters: readonly string[], paused = false): readonly Command[] {
  const stored = { outcomes: letters.join(''), retrying: [], waits: [], items: [], cancelRequested: false, control: { version: 1, paused }, endsInMs: null };
  return decide(currentRules, shape, restoreState(shape, stored, 0, currentRules), [], 0).commands;
}

const isStarted = (shape: PlanShape, letters: readonly string[], step: number, commands: readonly Command[]): boolean =>
  commands.some((command) => {
    if (command.do === 'skip') return command.steps.includes(step);
    if (command.do === 'unit') return (shape.units[command.unit] ?? []).find((member) => letters[member] === '.') === step;
    return (command.do === 'openItems' || command.do === 'openWait') && command.step === step;
  });

/** Steps in some order of their needs, each with an outcome that these allow, or none. */
const situation = fc
  .record({
    seed: fc.integer({ min: 1, max: 1_000_000 }),
    letters: fc.array(fc.constantFrom('s', 's', 's', 'k', 't', '.', '.', 'u'), { minLength: 80, maxLength: 80 }),
  })
  .map(({ seed, letters }) => {
    const { shape: drawn } = randomPlan(seed);
    const shape: PlanShape = { ...drawn, maxInFlight: 500, timeoutMs: null };
    const outcomes: string[] = [];
    shape.steps.forEach(({ needs }, step) => {
      const mayHaveEnded = needs.every((need) => 'stk'.includes(outcomes[need] ?? '.'));
      outcomes.push(mayHaveEnded ? (letters[step] ?? '.') : '.');
    });
    return { shape, letters: outcomes };
  });

/** What a run, a step that has begun and an item can be at; `held`: why nobody has begun the run. */
const states = {
  run: fc.constantFrom('running', 'waiting', 'paused', 'cancelling'),
  open: fc.constantFrom('running', 'approval', 'decided', 'signal', 'timer', 'run', 'retry', 'uncertain', 'items', 'uncertain items'),
  item: fc.constantFrom('approval', 'signal', 'timer', 'run', 'retry', 'uncertain'),
  held: fc.constantFrom(null, null, 'concurrency', 'timer', 'room', 'paused'),
};

const waitFor = (kind: string) => ({ kind, ref: kind === 'timer' ? null : 'ref_1', until: null, text: `Waits for ${kind}.` });

function runIn(run: string, held: string | null): Partial<RunFactsForExplain> {
  if (held === null) {
    if (run === 'paused') return { status: 'paused', pausedAt: at };
    return run === 'cancelling' ? { cancelRequestedAt: at } : { status: run };
  }
  const waitingFor = held === 'room' ? { ...waitFor('concurrency'), ref: null } : waitFor(held);
  const notStarted = { execution: 'missing' as const };
  // What holds all starts, or leaves no room, is not told of one that is paused: its start is tried.
  if (run !== 'paused' || held === 'room' || held === 'paused') return { ...notStarted, status: 'queued', waitingFor };
  return { ...notStarted, status: 'paused', pausedAt: at, waitingFor: waitFor('paused'), waitsToStart: waitingFor };
}

function openRow(step: number, state: string): NonNullable<RunFactsForExplain['steps'][number]> {
  const row = { path: `s${step}`, status: 'running', outcome: null, attempt: 1, startedAt: at, waitingFor: null, items: null };
  const items = { count: 9, ended: 2, running: 1, retrying: 1, waiting: 1, failed: 0, nextAt: at };
  const approval = { from: 'role:approver', required: 1, approvedBy: 0, fourEyes: false, claimedBy: null, claimedUntil: null };
  switch (state) {
    case 'running':
      return row;
    case 'uncertain':
      return { ...row, status: 'uncertain' };
    case 'items':
      return { ...row, items };
    case 'uncertain items':
      return { ...row, status: 'uncertain', items, uncertainItems: 2 };
    case 'retry':
      return { ...row, status: 'retrying', waitingFor: waitFor('retry') };
    case 'approval':
      return { ...row, status: 'waiting', waitingFor: waitFor('approval'), approval };
    default:
      return { ...row, status: 'waiting', waitingFor: waitFor(state === 'decided' ? 'approval' : state) };
  }
}

const openItem = (step: number, state: string): RunFactsForExplain['waitingItems'][number] => {
  const { status, startedAt, waitingFor } = openRow(step, state);
  return { step, path: `s${step}[3]`, status, startedAt, waitingFor };
};

const reasonOf = (reasons: readonly Reason[], step: number): Reason | undefined => reasons.find(({ stepPath }) => stepPath === `s${step}`);

describe('an explanation', () => {
  it('of a run whose deadline has passed says so of the run and of each step, and that a pause holds up what is to be undone', () => {
    const shape = { ...randomPlan(7).shape, maxInFlight: 10, timeoutMs: 1_000 };
    const facts = {
      ...factsOf(
        shape,
        shape.steps.map(() => '.'),
      ),
      deadlineAt: '2030-12-31T23:59:59.000Z',
      now: at,
    };
    const unfinished = facts.stepIds.length;
    const { reasons } = explain(facts);
    expect(reasons.filter(({ stepPath, blockedBy }) => stepPath !== null && blockedBy.kind === 'ending')).toHaveLength(unfinished);
    expect(reasons.find(({ stepPath }) => stepPath === null)).toMatchObject({ since: facts.deadlineAt, command: 'kai status' });
    const undoes = { ...shape, steps: shape.steps.map((step) => ({ ...step, undo: { timeoutMs: 1 } })) };
    const held = explain({ ...facts, shape: undoes, status: 'paused', pausedAt: at }).reasons;
    expect(held.filter(({ stepPath }) => stepPath === null).map(({ command }) => command)).toEqual([
      `kai run resume ${facts.runId}`,
      `kai run resume ${facts.runId}`,
    ]);
  });

  it('names for a step that needs others since when, and the command of the one that must end first', () => {
    const shape: PlanShape = {
      steps: [[], [0], [1, 3], []].map((needs) => ({ kind: 'transform', needs, timeoutMs: 1_000 })) as unknown as PlanShape['steps'],
      units: [[0], [1], [2], [3]],
      maxInFlight: 10,
    } as unknown as PlanShape;
    const began = '2031-01-01T00:05:00.000Z';
    const changed = '2031-01-01T00:06:00.000Z';
    const asked = { kind: 'approval', ref: 'apr_1', until: null, text: 'It waits for a decision.' };
    const facts = { ...factsOf(shape, ['.', '.', '.', 's']), startedAt: began };
    facts.steps[3] = { path: 's3', status: 'succeeded', outcome: 's', attempt: 1, startedAt: began, finishedAt: changed, waitingFor: null, items: null };
    facts.steps[0] = { path: 's0', status: 'waiting', outcome: null, attempt: 1, startedAt: began, waitingFor: asked, items: null };
    const { reasons } = explain(facts);
    const command = reasonOf(reasons, 0)?.command;
    expect(command).toContain('apr_1');
    expect(reasonOf(reasons, 1)).toMatchObject({ since: began, command, unblocks: 's0 must end first; the command is that of s0.' });
    expect(reasonOf(reasons, 2)).toMatchObject({ since: changed, command, unblocks: 's1 must end first, and before it s0; the command is that of s0.' });
  });

  it('of a run that waits for room on the disk says so, and nothing else', () => {
    const waitingFor = { kind: 'engine', ref: 'disk', until: null, text: 'Less than 1 GB is free.' };
    const { shape } = randomPlan(1);
    const facts = factsOf(shape, [], { status: 'queued', execution: 'missing', waitingFor, pendingStart: { since: at, lastError: 'Less than 1 GB is free.' } });
    const { reasons } = explain(facts);
    expect(reasons.filter(({ stepPath }) => stepPath === null)).toEqual([
      expect.objectContaining({ blockedBy: { kind: 'engine', ref: null, text: waitingFor.text }, command: 'kai doctor', until: null }),
    ]);
    for (const { blockedBy } of reasons) expect(blockedBy.text).not.toContain('about to start');
  });

  it('gives every unfinished step a reason, and none to those that have ended', () => {
    fc.assert(
      fc.property(situation, fc.boolean(), ({ shape, letters }, paused) => {
        const { reasons } = explain(factsOf(shape, letters, paused ? { pausedAt: at, status: 'paused' } : {}));
        expect(reasons.length).toBeGreaterThan(0);
        letters.forEach((letter, step) => expect(reasonOf(reasons, step) !== undefined).toBe(letter === '.' || letter === 'u'));
        for (const reason of reasons) expect(reason.unblocks).not.toBe('');
      }),
      { numRuns: 500 },
    );
  });

  it('gives a reason and, where it names a command, one about something that is there: in every state of a run, a step and an item', () => {
    fc.assert(
      fc.property(situation, fc.record(states), ({ shape, letters }, { run, open, item, held }) => {
        const change = { ...runIn(run, held), waitingItems: [] as RunFactsForExplain['waitingItems'] };
        const steps = factsOf(shape, letters).steps.map((row, step) =>
          row === undefined && (shape.steps[step]?.needs ?? []).every((need) => 'stk'.includes(letters[need] ?? '.')) ? openRow(step, open) : row,
        );
        const first = steps.findIndex((row) => row !== undefined && row.items !== null);
        if (first >= 0) change.waitingItems.push(openItem(first, item));
        const { reasons } = explain(factsOf(shape, letters, { ...change, steps }));
        steps.forEach((row, step) => expect(reasonOf(reasons, step) !== undefined).toBe((row?.outcome ?? null) === null));
        if (first >= 0) expect(reasons.some(({ stepPath }) => stepPath === `s${first}[3]`)).toBe(true);
        for (const { blockedBy, unblocks, command, stepPath } of reasons) {
          expect(blockedBy.text).not.toBe('');
          expect(unblocks).not.toBe('');
          expect(command ?? '').not.toMatch(/undefined|null|…| {2}| $/);
          // A step that waits for others tells how the first of them is helped.
          if (command?.startsWith('kai run resolve ') === true)
            expect(command).toMatch(stepPath?.endsWith(']') === true ? / 's\d+\[3\]' / : / 's\d+(\[3\])?' /);
        }
        // Nobody is told to wait for a start that is not on its way.
        if (held !== null) expect(reasons.map(({ blockedBy }) => blockedBy.text).join(' ')).not.toMatch(/about to start|reconciler mends/);
      }),
      { numRuns: proofSize(500, 10_000) },
    );
  });

  it('agrees with the scheduler on what starts next, and on what a pause holds', () => {
    fc.assert(
      fc.property(situation, fc.boolean(), ({ shape, letters }, paused) => {
        const { reasons } = explain(factsOf(shape, letters, paused ? { pausedAt: at, status: 'paused' } : {}));
        const commands = next(shape, letters, paused);
        if (commands.length >= 50) return;
        letters.forEach((letter, step) => {
          if (letter !== '.') return;
          const kind = reasonOf(reasons, step)?.blockedBy.kind;
          // A skip takes others with it, which still wait for what is being skipped.
          if (commands.some((command) => command.do === 'skip' && command.steps.includes(step))) expect(['engine', 'needs']).toContain(kind);
          else if (isStarted(shape, letters, step, commands)) expect(kind).toBe('engine');
          else expect(paused && kind === 'engine' ? 'paused' : kind).not.toBe('engine');
        });
      }),
      { numRuns: 500 },
    );
  });

  it('names what holds a step: when that has ended well, the scheduler moves', () => {
    fc.assert(
      fc.property(situation, ({ shape, letters }) => {
        const { reasons } = explain(factsOf(shape, letters));
        letters.forEach((letter, step) => {
          if (letter !== '.' || reasonOf(reasons, step)?.blockedBy.kind !== 'needs') return;
          const freed = letters.map(
            (known, other): Outcome | '.' =>
              (shape.steps[step]?.needs.includes(other) === true && !isOutcome(known) ? 's' : known === 'u' ? 's' : known) as Outcome | '.',
          );
          const commands = next(shape, freed);
          // The step itself, unless one that shares its activity is being skipped first.
          expect(commands.length).toBeGreaterThan(0);
        });
      }),
      { numRuns: 300 },
    );
  });

  it('tells of what holds the whole run', () => {
    const { shape } = randomPlan(1);
    const letters = shape.steps.map(() => '.');
    const texts = (change: Partial<RunFactsForExplain>) => explain(factsOf(shape, letters, change)).reasons.filter(({ stepPath }) => stepPath === null);
    expect(texts({})).toEqual([]);
    expect(texts({ pausedAt: at })[0]).toMatchObject({ blockedBy: { kind: 'paused' }, command: 'kai run resume run_1', since: at });
    const withParent = { kind: 'paused' as const, ref: 'run_0', until: null, text: 'Paused with the run that started it, run_0.' };
    expect(texts({ pausedAt: at, waitingFor: withParent })[0]).toMatchObject({ command: 'kai run resume run_0' });
    expect(texts({ pollers: 0 })[0]).toMatchObject({ blockedBy: { kind: 'worker' } });
    expect(texts({ workflowTaskAttempt: 4 })[0]?.blockedBy.text).toContain('workflow task is tried again (attempt 4)');
    expect(texts({ execution: 'missing' })[0]?.unblocks).toContain('go on from Postgres');
    expect(texts({ execution: 'closed' })[0]?.unblocks).toContain('ends the run');
    const [failing] = texts({ activityAttempt: 5 });
    expect(failing?.blockedBy.text).toContain('fails again and again (attempt 5)');
    expect(failing?.command).toMatch(/^kai run debug /);
    expect(texts({ activityAttempt: 2 }).map(({ command }) => command)).not.toContain(failing?.command);
    expect(texts({ execution: 'unreachable' })[0]?.blockedBy.text).toContain('Temporal does not answer');
    expect(texts({ unnumberedSince: at, now: '2031-01-01T00:00:10.000Z' })[0]?.blockedBy.text).toContain('not numbered');
    expect(texts({ pendingStart: { since: at, lastError: 'Less than 1 GB is free' } })[0]?.blockedBy.text).toContain('Less than 1 GB is free');
    expect(texts({ cancelRequestedAt: at })[0]).toMatchObject({ blockedBy: { kind: 'ending' } });
    expect(
      explain(
        factsOf(
          shape,
          shape.steps.map(() => 's'),
        ),
      ).reasons,
    ).toMatchObject([{ blockedBy: { text: 'All steps have ended: the run is about to close.' } }]);
  });
});

it('tells the round of a step that repeats, and which one is to be resolved', () => {
  const shape: PlanShape = {
    steps: [{ kind: 'tool', needs: [], repeat: { maxIterations: 40 }, timeoutMs: 1_000 }],
    units: [[0]],
    maxInFlight: 10,
    timeoutMs: null,
  };
  const round = { path: 's0#6', iteration: 6, attempt: 2, startedAt: '2031-01-01T00:00:05.000Z' };
  const row = { path: 's0', status: 'running', outcome: null, attempt: 1, startedAt: at, waitingFor: null, items: null, round };
  const [works] = explain(factsOf(shape, ['.'], { steps: [row] })).reasons;
  expect(works).toMatchObject({
    blockedBy: { kind: 'work', text: expect.stringContaining('in round 7 of at most 40 (attempt 2)') },
    since: round.startedAt,
    until: '2031-01-01T00:00:06.000Z',
  });
  const [uncertain] = explain(factsOf(shape, ['.'], { steps: [{ ...row, status: 'uncertain' }] })).reasons;
  expect(uncertain?.command).toBe("kai run resolve run_1 's0#6' happened|did-not --reason R");
});
