import { describe, expect, it } from 'vitest';
import type { PlanShape, StepShape } from '#schemas/shape.ts';
import { calm, simulate } from '#tests/engine-simulation/simulate.ts';
import type { RunEvent } from './apply-event.ts';
import { type Command, currentRules, type Decision, decide } from './decide.ts';
import { initialState, type RunState, restoreState, type StoredProgress } from './state.ts';
import { proofSize } from '#tests/rig/proof-size.ts';

/** The slow search (tests/engine-simulation/search.ts) tries many more. */
const plansPerWeather = proofSize(3_000, 10_000);

const step = (needs: number[] = [], more: Partial<StepShape> = {}): StepShape => ({ kind: 'tool', needs, timeoutMs: 60_000, ...more });
const shapeOf = (steps: StepShape[], more: Partial<PlanShape> = {}): PlanShape => ({
  steps,
  units: steps.map((_, index) => [index]),
  maxInFlight: 100,
  timeoutMs: null,
  ...more,
});

/** Feeds events to the engine, one decision after the other. */
class Talk {
  state: RunState;
  private readonly shape: PlanShape;

  constructor(shape: PlanShape, state = initialState(shape, null)) {
    this.shape = shape;
    this.state = state;
  }

  say(events: RunEvent[], nowMs = 0, hold = false): Decision {
    const decision = decide(currentRules, this.shape, this.state, events, nowMs, hold);
    this.state = decision.state;
    return decision;
  }
}

const ofKind = <Kind extends Command['do']>(commands: Command[], kind: Kind): Extract<Command, { do: Kind }>[] =>
  commands.filter((command): command is Extract<Command, { do: Kind }> => command.do === kind);

const progress = (stored: Partial<StoredProgress>): StoredProgress => ({
  outcomes: '.',
  retrying: [],
  waits: [],
  items: [],
  cancelRequested: false,
  endsInMs: null,
  ...stored,
});

describe('random plans, to the outcome that the specification foresees', () => {
  it.each([
    { name: 'undisturbed', first: 1, weather: calm },
    {
      name: 'with hand-overs, losses, forged decisions and pauses',
      first: 1_000_001,
      weather: { ...calm, loss: 0.01, handOver: 0.03, forgedDecision: 0.02, pause: 0.03 },
    },
    {
      name: 'with steps and items overridden and skipped, runs cancelled and retried, again and again',
      first: 2_000_001,
      weather: { ...calm, loss: 0.01, handOver: 0.02, forgedDecision: 0.02, byHand: 0.05, retry: 0.6 },
    },
  ])('$name', { timeout: 300_000 }, ({ first, weather }) => {
    let decisions = 0;
    for (let seed = first; seed < first + plansPerWeather; seed += 1) decisions += simulate(seed, weather);
    expect(decisions).toBeGreaterThan(plansPerWeather);
  });
});

describe('bounds', () => {
  it('starts at most 50 commands at once, and as many again when something has happened', () => {
    const talk = new Talk(shapeOf(Array.from({ length: 120 }, () => step())));
    expect(talk.say([]).commands).toHaveLength(50);
    expect(talk.say([{ what: 'tick' }]).commands).toHaveLength(50);
    expect(talk.say([{ what: 'tick' }]).commands).toHaveLength(0);
  });

  it('settles at most 50 waits at once and forgets none', () => {
    const shape = shapeOf(Array.from({ length: 70 }, () => step([], { kind: 'wait' })));
    const waits = shape.steps.map((_, index) => ({ step: index, waitId: `w${index}`, endsInMs: 0 }));
    const talk = new Talk(shape, restoreState(shape, progress({ outcomes: '.'.repeat(70), waits }), 5));
    expect(ofKind(talk.say([], 5).commands, 'settleWait')).toHaveLength(50);
    expect(ofKind(talk.say([{ what: 'tick' }], 6).commands, 'settleWait')).toHaveLength(20);
  });

  it('does not ask to be woken for what waits for room', () => {
    const talk = new Talk(shapeOf([step(), step()], { maxInFlight: 1 }));
    talk.say([]);
    talk.say([{ what: 'unit', unit: 0, result: { outcomes: '', retryInMs: 10 } }]);
    expect(talk.say([{ what: 'tick' }], 50)).toMatchObject({ commands: [], wakeAtMs: null });
  });
});

describe('a run that ends early', () => {
  it('does not join the items that a failure elsewhere left unstarted', () => {
    const talk = new Talk(shapeOf([step([], { forEach: { concurrency: 1 } }), step()]));
    talk.say([]);
    talk.say([{ what: 'itemsOpened', step: 0, result: { count: 3 } }]);
    const { commands } = talk.say([
      { what: 'unit', unit: 1, result: { outcomes: 'f' } },
      { what: 'item', step: 0, item: 0, result: { outcomes: 's' } },
    ]);
    expect(commands).toEqual([{ do: 'close', ending: 'failed' }]);
  });

  it('is cancelled when a step says so before the Signal does', () => {
    const talk = new Talk(shapeOf([step()]));
    talk.say([]);
    expect(talk.say([{ what: 'unit', unit: 0, result: { outcomes: 'c' } }]).commands).toEqual([{ do: 'cancelWork' }, { do: 'close', ending: 'cancelled' }]);
  });

  it('keeps its deadline while it lets the rest finish after a failure', () => {
    const shape = shapeOf([step(), step()]);
    const talk = new Talk(shape, initialState(shape, 1_000));
    talk.say([]);
    expect(talk.say([{ what: 'unit', unit: 0, result: { outcomes: 'f' } }], 10).wakeAtMs).toBe(1_000);
    expect(talk.say([{ what: 'tick' }], 1_000)).toMatchObject({ commands: [{ do: 'cancelWork' }], wakeAtMs: null });
    expect(talk.say([{ what: 'unit', unit: 1, result: { outcomes: 'c' } }], 1_010).commands).toEqual([{ do: 'close', ending: 'timed_out' }]);
  });

  it('tells what works of a cancel that outranks a failure', () => {
    const talk = new Talk(shapeOf([step(), step()]));
    talk.say([]);
    expect(talk.say([{ what: 'unit', unit: 0, result: { outcomes: 'f' } }]).commands).toEqual([]);
    expect(talk.say([{ what: 'cancelled' }]).commands).toEqual([{ do: 'cancelWork' }]);
    expect(talk.say([{ what: 'cancelled' }]).commands).toEqual([]);
  });

  it('tells the windows that an earlier generation left open', () => {
    const shape = shapeOf([step([], { forEach: { concurrency: 10 } })]);
    const items = [{ step: 0, count: 1_000, unfinished: [[0, 999] as const], failed: false }];
    const stored = progress({ items, windows: [{ step: 0, from: 0, to: 499 }], cancelRequested: true });
    expect(new Talk(shape, restoreState(shape, stored, 0)).say([]).commands).toEqual([{ do: 'cancelWork' }, { do: 'stopWindows', cancel: true }]);
  });

  it('starts nothing new in a generation that finds a failed item', () => {
    const shape = shapeOf([step([], { forEach: { concurrency: 1 } }), step()]);
    const stored = progress({ outcomes: '..', items: [{ step: 0, count: 3, unfinished: [[1, 2]], failed: true }] });
    expect(new Talk(shape, restoreState(shape, stored, 0)).say([]).commands).toEqual([{ do: 'joinItems', step: 0, closes: false }]);
  });
});

describe('waits', () => {
  const opened = (endsInMs: number | null): RunEvent => ({ what: 'waitOpened', step: 0, result: { waitId: 'w', endsInMs } });
  const settled = (endsInMs: number): RunEvent => ({ what: 'waitSettled', step: 0, result: { waitId: 'w', endsInMs } });
  const settle = { do: 'settleWait', step: 0, waitId: 'w' };

  it('count what is left by the database: a clock that is an hour off changes nothing', () => {
    const talk = new Talk(shapeOf([step([], { kind: 'wait' })]));
    const hour = 3_600_000;
    talk.say([], hour);
    expect(talk.say([opened(2_000)], hour + 10).wakeAtMs).toBe(hour + 2_010);
    expect(talk.say([{ what: 'tick' }], hour + 2_010).commands).toEqual([settle]);
    // That the run waits was said when it was opened, and still holds.
    expect(talk.say([settled(500)], hour + 2_020)).toMatchObject({ commands: [], wakeAtMs: hour + 2_520 });
  });

  it('are not asked for again at once when they are still open', () => {
    const talk = new Talk(shapeOf([step([], { kind: 'wait' })]));
    talk.say([]);
    expect(talk.say([opened(0)]).commands).toEqual([settle]);
    const { commands, wakeAtMs } = talk.say([settled(-3)]);
    expect(ofKind(commands, 'settleWait')).toEqual([]);
    expect(wakeAtMs).toBe(1);
  });

  it('are looked up once for a decision that was forged, and the run goes on waiting', () => {
    const talk = new Talk(shapeOf([step([], { kind: 'approval' })]));
    talk.say([]);
    talk.say([opened(null)]);
    expect(talk.say([{ what: 'decision', waitId: 'w' }]).commands).toEqual([settle]);
    const answer: RunEvent = { what: 'waitSettled', step: 0, result: { waitId: 'w', endsInMs: null } };
    expect(talk.say([answer])).toMatchObject({ commands: [], wakeAtMs: null });
    expect(talk.say([{ what: 'decision', waitId: 'other' }]).commands).toEqual([]);
  });
});

describe('a chain', () => {
  it('is not started while a later member of it is being skipped', () => {
    const shape = shapeOf([step([], { kind: 'transform' }), step([0], { whenMentions: [0], when: true }), step([0])], { units: [[0, 1, 2]] });
    const talk = new Talk(shape);
    talk.say([]);
    const { commands } = talk.say([{ what: 'unit', unit: 0, result: { outcomes: 'k', retryInMs: 0 } }]);
    expect(commands).toEqual([{ do: 'skip', steps: [2] }]);
    const after = talk.say([{ what: 'skipped', steps: [2], result: { superseded: false } }]);
    expect(after.commands).toEqual([{ do: 'unit', unit: 0, alone: true, closes: true }]);
  });
});

it('refuses rules of another release', () => {
  const shape = shapeOf([step()]);
  for (const rules of [0, currentRules + 1]) expect(() => decide(rules, shape, initialState(shape, null), [], 0)).toThrow(`not ${rules}`);
});

describe('items that wait', () => {
  const shape = shapeOf([step([], { kind: 'approval', forEach: { concurrency: 2 } })], { maxInFlight: 1 });
  const open = (item: number): RunEvent => ({ what: 'waitOpened', step: 0, item, result: { waitId: `wait-${item}`, endsInMs: 1_000 } });
  const opened = (): Talk => {
    const talk = new Talk(shape);
    talk.say([]);
    expect(talk.say([{ what: 'itemsOpened', step: 0, result: { count: 3 } }]).commands).toEqual([{ do: 'openWait', step: 0, item: 0, alone: true }]);
    // One at once is opened, two wait at once.
    expect(talk.say([open(0)]).commands).toEqual([{ do: 'openWait', step: 0, item: 1, alone: true }]);
    expect(talk.say([open(1)]).commands).toEqual([]);
    return talk;
  };

  it('are looked at when they are decided, and make room for the next', () => {
    const talk = opened();
    expect(talk.say([{ what: 'decision', waitId: 'wait-1' }]).commands).toEqual([{ do: 'settleWait', step: 0, item: 1, waitId: 'wait-1' }]);
    const next = talk.say([{ what: 'waitSettled', step: 0, item: 1, result: { outcome: 's' } }]);
    expect(next.commands).toEqual([{ do: 'openWait', step: 0, item: 2, alone: true }]);
    expect(talk.say([open(2)], 1_000).commands).toEqual([{ do: 'settleWait', step: 0, item: 0, waitId: 'wait-0' }]);
  });

  it('found open go on waiting, and a decision that comes while they are looked at is not lost', () => {
    const talk = opened();
    talk.say([{ what: 'decision', waitId: 'wait-0' }]);
    talk.say([{ what: 'decision', waitId: 'wait-0' }]);
    const again = talk.say([{ what: 'waitSettled', step: 0, item: 0, result: { waitId: 'wait-0', endsInMs: 900 } }]);
    expect(ofKind(again.commands, 'settleWait')).toEqual([{ do: 'settleWait', step: 0, item: 0, waitId: 'wait-0' }]);
    const quiet = talk.say([{ what: 'waitSettled', step: 0, item: 0, result: { waitId: 'wait-0', endsInMs: 900 } }]);
    expect(quiet.commands).toEqual([{ do: 'markWaiting' }]);
    expect(quiet.wakeAtMs).toBe(900);
  });

  it('come back with their waits from what is stored', () => {
    const stored = progress({
      items: [{ step: 0, count: 3, unfinished: [[1, 2]], failed: false }],
      waits: [{ step: 0, item: 1, waitId: 'wait-1', endsInMs: 0 }],
    });
    const talk = new Talk(shape, restoreState(shape, stored, 0));
    expect(talk.say([]).commands).toEqual([{ do: 'settleWait', step: 0, item: 1, waitId: 'wait-1' }]);
  });
});

it('a decision that comes while its wait is looked at is kept, from rules 2 on', () => {
  const shape = shapeOf([step([], { kind: 'approval' })]);
  const commandsOf = (rules: number): Command[] => {
    let state = initialState(shape, null);
    const say = (events: RunEvent[]): Command[] => {
      const decision = decide(rules, shape, state, events, 0);
      state = decision.state;
      return decision.commands;
    };
    say([]);
    say([{ what: 'waitOpened', step: 0, result: { waitId: 'w', endsInMs: null } }]);
    say([{ what: 'decision', waitId: 'w' }]);
    say([{ what: 'decision', waitId: 'w' }]);
    return ofKind(say([{ what: 'waitSettled', step: 0, result: { waitId: 'w', endsInMs: null } }]), 'settleWait');
  };
  expect(commandsOf(2)).toHaveLength(1);
  expect(commandsOf(1)).toHaveLength(0);
});

describe('quick items', () => {
  const shape = shapeOf([step([], { forEach: { concurrency: 2, quick: true } })]);
  const opened = (count: number): Talk => {
    const talk = new Talk(shape);
    talk.say([]);
    talk.say([{ what: 'itemsOpened', step: 0, result: { count } }]);
    return talk;
  };
  const came = (from: number, to: number, outcomes: string): RunEvent => ({ what: 'batch', step: 0, from, to, result: { outcomes } });

  it('are done in batches, one after the other, and joined', () => {
    const talk = new Talk(shape);
    talk.say([]);
    expect(talk.say([{ what: 'itemsOpened', step: 0, result: { count: 250 } }]).commands).toEqual([{ do: 'batch', step: 0, from: 0, to: 199 }]);
    expect(talk.say([came(0, 199, 's'.repeat(200))]).commands).toEqual([{ do: 'batch', step: 0, from: 200, to: 249 }]);
    expect(talk.say([came(200, 249, 's'.repeat(50))]).commands).toEqual([{ do: 'joinItems', step: 0, closes: true }]);
  });

  it('that a batch had no time for have activities of their own, two at once', () => {
    const { commands } = opened(5).say([came(0, 4, 's')]);
    expect(commands.map((command) => (command.do === 'item' ? command.item : command.do))).toEqual([1, 2]);
  });

  it('start no more when one has failed, and end when one was cancelled', () => {
    expect(
      opened(5)
        .say([came(0, 4, 'sf')])
        .commands.map((command) => command.do),
    ).toEqual(['joinItems']);
    expect(opened(5).say([came(0, 4, 'sc')]).state.ending).toBe('cancelled');
  });

  it('of a list in windows are done there', () => {
    const talk = new Talk(shape);
    talk.say([]);
    const { commands } = talk.say([{ what: 'itemsOpened', step: 0, result: { count: 600 } }]);
    expect(commands).toMatchObject([
      { do: 'startWindow', from: 0, to: 299, quick: true },
      { do: 'startWindow', from: 300, to: 599, quick: true },
    ]);
  });
});

it('what one decision has no room for is begun by the next, at once, from rules 3 on', () => {
  const shape = { ...shapeOf(Array.from({ length: 80 }, () => step([]))), maxInFlight: 100 };
  const first = (rules: number): Decision => decide(rules, shape, initialState(shape, null, rules), [], 7);
  expect(first(2)).toMatchObject({ wakeAtMs: null });
  expect(first(3)).toMatchObject({ wakeAtMs: 8 });
  const second = decide(3, shape, first(3).state, [{ what: 'tick' }], 8);
  expect([first(3).commands.length, second.commands.length, second.wakeAtMs]).toEqual([50, 30, null]);
});

it('says again that only waits are left when a window has ended, from rules 3 on', () => {
  const shape = shapeOf([step([], { kind: 'wait', forEach: { concurrency: 600 } })]);
  const marks = (rules: number): number[] => {
    let state = initialState(shape, null, rules);
    const say = (events: RunEvent[]): number => {
      const decision = decide(rules, shape, state, events, 0);
      state = decision.state;
      return ofKind(decision.commands, 'markWaiting').length;
    };
    say([]);
    say([{ what: 'itemsOpened', step: 0, result: { count: 600 } }]);
    return [say([{ what: 'tick' }]), say([{ what: 'tick' }]), say([{ what: 'window', step: 0, from: 0, failed: false }])];
  };
  expect([marks(2), marks(3)]).toEqual([
    [1, 0, 0],
    [1, 0, 1],
  ]);
});
