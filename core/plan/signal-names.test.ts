import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlanText } from './compile.ts';
import type { CompiledStep } from './compiled.ts';
import { fixtureEnvironment } from './fixture-environment.ts';
import { mayTakeSignal, signalNameOf } from './signal-names.ts';

function stepWaitingFor(name: string): CompiledStep {
  const text = JSON.stringify({
    plan: 'p',
    input: { type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } } },
    steps: { one: { signal: { name } } },
  });
  const result = compilePlanText(text, fixtureEnvironment, 'json');
  if (!result.ok) throw new Error(result.faults.map(({ message }) => message).join('\n'));
  return result.compiled.steps[0] as CompiledStep;
}

describe('the name of a signal', () => {
  it('written out is taken as it is', () => {
    const step = stepWaitingFor('payment');
    expect(signalNameOf(step)).toBe('payment');
    expect(['payment', 'payments', 'pay', ''].map((name) => mayTakeSignal(step, name))).toEqual([true, false, false, false]);
  });

  it('that is one expression may be any', () => {
    expect(mayTakeSignal(stepWaitingFor('${input.a}'), 'whatever')).toBe(true);
  });

  it('with expressions in it is known by the text around them', () => {
    const step = stepWaitingFor('a-${input.a}-b-${input.b}-c');
    expect(signalNameOf(step)).toBe('a-*-b-*-c');
    expect(['a-1-b-2-c', 'a--b--c', 'a-1-b-b-2-c', 'a-1-c', 'a-b-c', 'x-1-b-2-c'].map((name) => mayTakeSignal(step, name))).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  it('fits whatever the expressions give', () => {
    const step = stepWaitingFor('a-${input.a}-b-${input.b}-c');
    const piece = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '-') });
    fc.assert(fc.property(piece, piece, (a, b) => mayTakeSignal(step, `a-${a}-b-${b}-c`)));
  });
});
