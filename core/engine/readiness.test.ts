import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { StepShape } from '#schemas/shape.ts';
import type { Outcome } from './outcome.ts';
import { needsVerdict, skipsThatStand, unitOfSteps } from './readiness.ts';

const outcomes: (Outcome | null)[] = ['s', 'k', 'f', 't', 'u', 'c', null];
const step = (needs: number[], more: Partial<StepShape> = {}): StepShape => ({ kind: 'tool', needs, timeoutMs: 1, ...more });

it('says of every mixture of needs what the specification says', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...outcomes), { maxLength: 5 }),
      fc.nat(31),
      fc.option(fc.nat(4), { nil: undefined }),
      (ofNeeds, mentionBits, gate) => {
        const needs = ofNeeds.map((_, need) => need);
        const whenMentions = needs.filter((need) => (mentionBits & (1 << need)) !== 0);
        const gated = gate !== undefined && gate < needs.length ? { gate } : {};
        const { verdict } = needsVerdict(step(needs, { whenMentions, ...gated }), (need) => ofNeeds[need] ?? null);
        const harmless = (need: number): boolean => whenMentions.includes(need) || need === gated.gate;
        if (ofNeeds.some((outcome) => outcome === 'f' || outcome === 'u' || outcome === 'c')) expect(verdict).toBe('never');
        else if (ofNeeds.includes(null)) expect(verdict).toBe('blocked');
        else expect(verdict).toBe(ofNeeds.some((outcome, need) => outcome === 'k' && !harmless(need)) ? 'skip' : 'ready');
      },
    ),
  );
});

it('names the needs that block, and the one that decided', () => {
  const of = (ofNeeds: (Outcome | null)[]) => needsVerdict(step([0, 1]), (need) => ofNeeds[need] ?? null);
  expect(of([null, null])).toEqual({ verdict: 'blocked', by: [0, 1] });
  expect(of(['s', 'k'])).toEqual({ verdict: 'skip', because: 1 });
  expect(of(['f', null])).toEqual({ verdict: 'never', because: 0 });
});

it('skips a fallback unless what it stands in for has failed, and never those who need both for it', () => {
  const fallback = (ofNeeds: (Outcome | null)[]) => needsVerdict(step([0, 1], { fallbackOf: 0 }), (need) => ofNeeds[need] ?? null).verdict;
  expect([fallback(['s', null]), fallback(['k', 's']), fallback(['t', null]), fallback(['t', 's']), fallback([null, 's'])]).toEqual([
    'skip',
    'skip',
    'blocked',
    'ready',
    'blocked',
  ]);
  const dependant = (ofNeeds: (Outcome | null)[]) => needsVerdict(step([0, 1], { fallbacks: [1] }), (need) => ofNeeds[need] ?? null).verdict;
  expect([dependant(['s', 'k']), dependant(['s', null]), dependant(['t', 's']), dependant(['k', 'k'])]).toEqual(['ready', 'blocked', 'ready', 'skip']);
});

it('lets a skip stand unless a person has ended the step, or what took it with it, meanwhile', () => {
  const chain = { steps: [step([]), step([0]), step([1]), step([2])], units: [[0], [1], [2], [3]], maxInFlight: 1, timeoutMs: null };
  const standing = (...onRecord: (Outcome | null)[]): number[] => skipsThatStand(chain, [1, 2, 3], (one) => onRecord[one] ?? null);
  expect(standing('k')).toEqual([1, 2, 3]);
  // Its skip is on its way, in another activity.
  expect(standing(null)).toEqual([1, 2, 3]);
  expect(standing('k', 's')).toEqual([]);
  expect(standing('k', null, 's')).toEqual([1]);
  expect(standing('s')).toEqual([]);
});

it('knows the unit of every step', () => {
  expect(unitOfSteps({ steps: [step([]), step([]), step([])], units: [[1], [0, 2]], maxInFlight: 1, timeoutMs: null })).toEqual([1, 0, 1]);
});
