import { describe, expect, it } from 'vitest';
import type { CalledPlans } from './called-plans.ts';
import { compilePlanText } from './compile.ts';
import { handlerInput } from './on-failure.ts';

const plans: CalledPlans = new Map([
  ['tell', { name: 'tell', version: 1, inputSchema: { type: 'object', properties: { failure: { type: 'object' } } }, calls: [] }],
  ['deaf', { name: 'deaf', version: 1, inputSchema: null, calls: [] }],
]);
const faultsOf = (rule: string): string[] => {
  const input = 'input: { type: object, properties: { customer: { type: string } } }';
  const result = compilePlanText(`plan: charge\n${input}\nonFailure: ${rule}\nsteps:\n  only: { transform: 1 }\n`, { tools: [], models: [], plans });
  return result.ok ? [] : result.faults.map(({ pointer, message, line }) => `${pointer} ${line ?? '?'}: ${message}`);
};

describe('what runs when a run fails', () => {
  it.each(['{ plan: tell }', '{ plan: charge }', '{ plan: charge@3 }', '{ plan: tell, input: { customer: "${input.customer}", level: 2 } }'])(
    'takes %s',
    (rule) => {
      expect(faultsOf(rule)).toEqual([]);
    },
  );

  it.each([
    { rule: '{ plan: nobody }', fault: /^\/onFailure\/plan 3: there is no plan "nobody"/ },
    { rule: '{ plan: deaf }', fault: /^\/onFailure\/plan 3: the plan "deaf" takes no input/ },
    { rule: '{ plan: Tell }', fault: /^\/onFailure\/plan 3: / },
    { rule: '{}', fault: /^\/onFailure.* 3: .*plan/ },
    { rule: '{ plan: tell, input: { failure: 1 } }', fault: /^\/onFailure\/input\/failure 3: .*what kOS gives/ },
    { rule: '{ plan: tell, input: { x: "${steps.only.output}" } }', fault: /^\/onFailure\/input\/x 3: .*is not known here/ },
    { rule: '{ plan: tell, input: { x: "${input.nobody}" } }', fault: /^\/onFailure\/input\/x 3: / },
    { rule: '{ plan: tell, when: true }', fault: /^\/onFailure/ },
  ])('refuses $rule', ({ rule, fault }) => {
    expect(faultsOf(rule)).toEqual([expect.stringMatching(fault)]);
  });

  it('is told which run failed, why and where', () => {
    const error = { code: 'tool_failed', message: 'no', fix: null, stepPath: 'pay' };
    expect(handlerInput({ level: 2 }, { runId: 'run_1', plan: 'charge', error })).toEqual({
      level: 2,
      failure: { runId: 'run_1', plan: 'charge', code: 'tool_failed', message: 'no', stepPath: 'pay' },
    });
  });
});
