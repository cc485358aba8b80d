import { expect, it } from 'vitest';
import { compilePlanText } from './compile.ts';

const faultsOf = (rule: string): string[] => {
  const input = 'input: { type: object, properties: { customer: { type: string }, list: { type: array, items: { type: string } } } }';
  const result = compilePlanText(`plan: bounded\n${input}\nconcurrency: ${rule}\nsteps:\n  only: { transform: 1 }\n`, { tools: [], models: [] });
  return result.ok ? [] : result.faults.map(({ pointer, message, line }) => `${pointer} ${line ?? '?'}: ${message}`);
};

it.each(['{ limit: 1 }', '{ key: "${input.customer}", limit: 3, onConflict: reject }', '{ key: "all", limit: 1, onConflict: cancelRunning }'])(
  'takes %s',
  (rule) => {
    expect(faultsOf(rule)).toEqual([]);
  },
);

it.each([
  { rule: '{ key: "${input.customer}" }', fault: /^\/concurrency.* 3: .*limit/ },
  { rule: '{ limit: 0 }', fault: /^\/concurrency\/limit 3: / },
  { rule: '{ limit: 1, onConflict: wait }', fault: /^\/concurrency\/onConflict 3: / },
  { rule: '{ limit: 1, key: "${steps.only.output}" }', fault: /^\/concurrency\/key 3: .*is not known yet/ },
  { rule: '{ limit: 1, key: "${run.id}" }', fault: /^\/concurrency\/key 3: .*is not known yet/ },
  { rule: '{ limit: 1, key: "${input.list}" }', fault: /^\/concurrency\/key 3: the key must be text, a number or a boolean/ },
  { rule: '{ limit: 1, key: "${input.nobody}" }', fault: /^\/concurrency\/key 3: / },
  { rule: '{ limit: 1, key: "${input." }', fault: /^\/concurrency\/key 3: / },
])('refuses $rule', ({ rule, fault }) => {
  expect(faultsOf(rule)).toEqual([expect.stringMatching(fault)]);
});
