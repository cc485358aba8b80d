import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { RepeatPolicy } from '#core/plan/compiled.ts';
import { parseTemplate } from '#core/expression/template.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { RoundRow } from '#services/runs/ledger/rounds.ts';
import { nextRound, positionOf, type Repeating, type RoundPosition, type Verdict, verdictOn } from './round-ends.ts';

interface Loop {
  /** What the condition gives after each round. */
  answers: boolean[];
  endsWith: boolean;
  maxIterations: number;
  onExhausted: 'fail' | 'continue';
  /** The round that fails for good, or is uncertain; beyond all rounds: none. */
  bad: number;
  badly: 'failed' | 'uncertain';
  /** Rounds after which everything is lost but the rows. */
  losses: number[];
}

const loops: fc.Arbitrary<Loop> = fc.record({
  answers: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
  endsWith: fc.boolean(),
  maxIterations: fc.integer({ min: 1, max: 12 }),
  onExhausted: fc.constantFrom('fail', 'continue'),
  bad: fc.integer({ min: 0, max: 30 }),
  badly: fc.constantFrom('failed', 'uncertain'),
  losses: fc.array(fc.integer({ min: 0, max: 12 })),
});

/** By the words of the page on rounds. */
function expected({ answers, endsWith, maxIterations, onExhausted, bad, badly }: Loop): string {
  for (let round = 0; round < maxIterations; round += 1) {
    if (round === bad) return badly === 'failed' ? `fail bad ${round + 1}` : 'doubt bad';
    if (answers[round] === endsWith) return `succeed ${round}`;
  }
  return onExhausted === 'continue' ? `succeed ${maxIterations - 1}` : `fail repeat_exhausted ${maxIterations}`;
}

const described = (verdict: Exclude<Verdict, { do: 'goOn' }>): string => {
  if (verdict.do === 'succeed') return `succeed ${JSON.stringify(verdict.output)}`;
  return verdict.do === 'fail' ? `fail ${verdict.error.code} ${verdict.rounds}` : `doubt ${verdict.error.code}`;
};

function rowOf({ bad, badly }: Loop, iteration: number): RoundRow {
  const base = { iteration, leftMs: null, endedMsAgo: 0 };
  if (iteration !== bad) return { ...base, status: 'succeeded', output: iteration, error: null };
  return { ...base, status: badly, output: null, error: { code: 'bad', message: 'It went badly.', fix: null, stepPath: `loop#${iteration}` } };
}

function repeatingOf(loop: Loop, seen: (scope: Scope) => void): Repeating {
  const { endsWith, maxIterations, onExhausted, answers } = loop;
  const policy: RepeatPolicy = { endsWith, condition: parseTemplate('${true}'), maxIterations, everyMs: 0, onExhausted };
  const evaluator = {
    evaluate: async (_: unknown, scope: Scope) => {
      seen(scope);
      return answers[scope.iteration ?? -1] ?? null;
    },
  } as Repeating['evaluator'];
  const work = { claim: { runId: 'run_1' }, compiled: { id: 'loop' }, executable: { shape: { steps: [] } } } as unknown as Repeating['work'];
  const parent = { path: 'loop' } as Repeating['parent'];
  return { evaluator, work, policy, parent, scope: { input: {}, steps: {}, run: { id: 'run_1', startedAt: '' } }, bound: maxIterations };
}

it('rounds end as the page says, wherever whoever runs them is lost', async () => {
  await fc.assert(
    fc.asyncProperty(loops, async (loop) => {
      const rows: RoundRow[] = [];
      const repeating = repeatingOf(loop, ({ iteration = -1, last, output }) => {
        expect(output).toBe(iteration);
        expect(last).toBe(iteration === 0 ? null : iteration - 1);
      });
      let at: RoundPosition = positionOf([]);
      for (;;) {
        if (at.ended === null) rows.push(rowOf(loop, at.iteration));
        // What is on record says where to go on.
        const known: RoundPosition = positionOf(rows.toReversed().slice(0, 2));
        if (!loop.losses.includes(at.iteration)) expect(known).toEqual({ ...at, ended: known.ended });
        const verdict = await verdictOn(repeating, known);
        if (verdict.do !== 'goOn') {
          expect(described(verdict)).toBe(expected(loop));
          expect(rows.map(({ iteration }) => iteration)).toEqual(rows.map((_, index) => index));
          return;
        }
        if (known.ended?.status !== 'succeeded') throw new Error('goes on behind a round that did not succeed');
        at = loop.losses.includes(at.iteration) ? positionOf([...rows].toReversed().slice(0, 2)) : nextRound(known, known.ended.output);
        if (at.ended !== null) at = nextRound(at, at.ended.status === 'succeeded' ? at.ended.output : null);
      }
    }),
    { numRuns: 500 },
  );
});
