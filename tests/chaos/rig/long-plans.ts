import type { RunStatus } from '#schemas/run.ts';

/** Effects of each run, numbered from 0. At the sink they are `…/do/N`, what takes them back is `…/undo/N`. */
export const effectsOfEach = 5;

/** A plan with five effects, and how its runs end whatever is killed meanwhile. */
export interface LongPlan {
  kind: string;
  source: string;
  status: RunStatus;
  /** Code of the run's error. */
  error: string | null;
  /** Paths of the steps whose effects are taken back, by the number of the effect; null: nothing is. */
  undone: readonly string[] | null;
  /** Steps that must have reused an output: their effects are other steps' ones. */
  reused: readonly string[];
  /** Attempts that the sink refuses: they are the run's own. */
  refused: number;
  /** Steps that only look, at `…/look`: as often as they like. */
  looks: readonly string[];
  /** A person cancels it when so many signals are waited for that never come; 0: nobody does. */
  cancelAt: number;
  /** `pauses`: a person pauses it once, and resumes it. `retries`: a person retries it when it has failed. */
  person: 'pauses' | 'retries' | null;
}

const header = (kind: string, more = ''): string => `plan: long-${kind}
${more}input: { type: object, required: [at], properties: { at: { type: string }, line: { type: string }, zero: { type: integer, default: 0 } } }
steps:
`;

const fetch = (effect: string): string => `tool: http.fetch, with: { url: '\${input.at}/do/${effect}' }`;
const send = (effect: string): string => `tool: http.send, with: { url: '\${input.at}/do/${effect}', json: { effect: '${effect}' } }`;
const unfetch = (effect: string): string => `undo: { tool: http.fetch, with: { url: '\${input.at}/undo/${effect}' } }`;
const unsend = (effect: string): string => `undo: { tool: http.send, with: { url: '\${input.at}/undo/${effect}', json: { was: '\${output.url}' } } }`;

const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** Five steps in a row, each of which says how it is taken back. */
const booked = range(0, 2)
  .map(
    (n) =>
      `  s${n}: { ${n % 2 === 0 ? `${fetch(`${n}`)}, ${unfetch(`${n}`)}` : `${send(`${n}`)}, ${unsend(`${n}`)}`}, needs: [${n === 0 ? '' : `s${n - 1}`}] }`,
  )
  .join('\n');
const bookedItems = `  each: { forEach: '\${range(3, 5)}', concurrency: 2, ${send('${item}')}, ${unsend('${item}')}, needs: [s2] }`;
const bookedPaths = ['s0', 's1', 's2', 'each[0]', 'each[1]'];

const innerHeader = (name: string): string => `plan: long-${name}
input: { type: object, required: [at, first], properties: { at: { type: string }, first: { type: integer } } }
steps:
`;
const one = '${input.first}';
const two = '${input.first + 1}';

/** What `long-calls` and `long-cutoff` start runs of. */
export const innerPlans = [
  `${innerHeader('inner')}  one: { ${fetch(one)} }
  two: { ${send(two)}, needs: [one] }
output: \${input.first}
`,
  `${innerHeader('held')}  one: { ${fetch(one)}, ${unfetch(one)} }
  two: { ${send(two)}, ${unsend(two)}, needs: [one] }
  held: { signal: { name: never }, needs: [two] }
`,
];

const usual = { reused: [], refused: 0, looks: [], cancelAt: 0, person: null } as const;
const succeeds = { ...usual, status: 'succeeded', error: null, undone: null } as const;

export const longPlans: readonly LongPlan[] = [
  {
    ...succeeds,
    kind: 'steps',
    source: `${header('steps', 'fuse: none\n')}  s0: { ${fetch('0')} }
  s1: { ${send('1')}, needs: [s0] }
  s2: { ${fetch('2')}, needs: [s1] }
  s3: { ${send('3')}, needs: [s1] }
  s4: { ${fetch('4')}, needs: [s2, s3] }
`,
  },
  {
    ...succeeds,
    kind: 'items',
    source: `${header('items')}  fetched: { forEach: '\${range(3)}', concurrency: 2, ${fetch('${index}')} }
  quick: { forEach: '\${range(250)}', transform: '\${item + index}', needs: [fetched] }
  sent: { forEach: '\${range(3, 5)}', concurrency: 2, ${send('${item}')}, needs: [quick] }
output: '\${sum(steps.quick.output)}'
`,
  },
  {
    ...succeeds,
    kind: 'rounds',
    source: `${header('rounds')}  poll: { ${fetch('${iteration}')}, repeat: { until: '\${iteration == 2}', maxIterations: 9, everyMs: 300 } }
  pay: { ${send('${iteration + 3}')}, repeat: { while: '\${iteration < 1}', maxIterations: 9 }, needs: [poll] }
`,
  },
  {
    ...succeeds,
    kind: 'calls',
    source: `${header('calls')}  first: { ${fetch('0')} }
  inner: { plan: long-inner, with: { at: '\${input.at}', first: '\${item}' }, forEach: '\${[1, 3]}', needs: [first] }
  seen: { transform: '\${steps.inner.output}' }
output: \${steps.seen.output}
`,
  },
  {
    ...succeeds,
    kind: 'cached',
    source: `${header('cached')}  look: { forEach: '\${range(4)}', concurrency: 2, ${fetch('${item}')}, cache: { ttlMs: 3600000 } }
  again: { forEach: '\${range(4)}', concurrency: 2, ${fetch('${item}')}, cache: { ttlMs: 3600000 }, needs: [look] }
  mark: { ${send('4')}, needs: [again] }
`,
    reused: range(0, 3).map((index) => `again[${index}]`),
  },
  {
    ...succeeds,
    kind: 'signalled',
    source: `${header('signalled')}  first: { ${fetch('0')} }
  go: { signal: { name: go, schema: { type: object, required: [effects], properties: { effects: { type: array, items: { type: integer } } } } }, needs: [first] }
  each: { forEach: '\${steps.go.output.effects}', concurrency: 2, ${send('${item}')} }
  done: { signal: { name: done }, needs: [each] }
  last: { ${fetch('4')}, needs: [done] }
`,
  },
  {
    ...succeeds,
    kind: 'approved',
    source: `${header('approved')}  first: { ${fetch('0')} }
  ask: { approval: { for: [pay], message: 'Pay?' }, needs: [first] }
  pay: { ${send('1')} }
  each: { forEach: '\${range(2, 4)}', approval: { message: 'And \${item}?' }, needs: [pay] }
  calls: { forEach: '\${range(2, 4)}', ${fetch('${item}')}, needs: [each] }
  pause: { wait: { forMs: 1500 }, needs: [calls] }
  seen: { wait: { check: { tool: http.fetch, with: { url: '\${input.at}/look?refusals=2' } }, until: '\${check.output.status == 200}', everyMs: 500 }, needs: [pause] }
  last: { ${send('4')}, needs: [seen] }
`,
    looks: ['seen'],
  },
  {
    ...succeeds,
    kind: 'retried',
    // A kill that cost an attempt would leave too few of them.
    source: `${header('retried')}  first: { ${send('0')} }
  each:
    forEach: '\${range(1, 4)}'
    concurrency: 2
    ${fetch('${item}?refusals=1').replace(', with', '\n    with')}
    retry: { maxAttempts: 2, initialDelayMs: 700 }
    needs: [first]
  last: { ${fetch('4?refusals=2')}, retry: { maxAttempts: 3, initialDelayMs: 300 }, needs: [each] }
`,
    refused: 5,
  },
  {
    ...succeeds,
    kind: 'fused',
    source: `${header('fused', 'fuse: effects\n')}${range(0, 4)
      .map((n) => `  s${n}: { ${fetch(`${n}`)}, needs: [${n === 0 ? '' : `t${n - 1}`}] }\n  t${n}: { transform: '\${steps.s${n}.output.status + ${n}}' }`)
      .join('\n')}
output: \${steps.t4.output}
`,
  },
  {
    ...succeeds,
    kind: 'keyed',
    source: `${header('keyed', "concurrency: { key: '${input.line}', limit: 1, onConflict: queue }\n")}${range(0, 4)
      .map((n) => `  s${n}: { ${n === 3 ? send(`${n}`) : fetch(`${n}`)}, needs: [${n === 0 ? '' : `s${n - 1}`}] }`)
      .join('\n')}
`,
  },
  {
    ...usual,
    kind: 'undone',
    status: 'failed',
    error: 'expression_failed',
    undone: bookedPaths,
    source: `${header('undone')}${booked}
${bookedItems}
  fails: { transform: '\${100 / input.zero}', needs: [each] }
`,
  },
  {
    ...usual,
    kind: 'cancelled',
    status: 'cancelled',
    error: 'cancelled',
    undone: bookedPaths,
    cancelAt: 1,
    source: `${header('cancelled')}${booked}
${bookedItems}
  held: { signal: { name: never }, needs: [each] }
`,
  },
  {
    ...usual,
    kind: 'cutoff',
    status: 'cancelled',
    error: 'cancelled',
    undone: ['s0', 'inner[0]/one', 'inner[0]/two', 'inner[1]/one', 'inner[1]/two'],
    cancelAt: 2,
    source: `${header('cutoff')}  s0: { ${send('0')}, ${unsend('0')} }
  inner: { plan: long-held, with: { at: '\${input.at}', first: '\${item}' }, forEach: '\${[1, 3]}', needs: [s0] }
`,
  },
  {
    ...succeeds,
    kind: 'expired',
    source: `${header('expired')}  first: { ${fetch('0')} }
  denied: { approval: { message: Deny this, onDeny: continue }, needs: [first] }
  one: { ${send('1')}, when: '\${!steps.denied.output.approved}' }
  silent: { approval: { message: Leave this, expiresInMs: 1500, onExpiry: continue }, needs: [one] }
  two: { ${send('2')}, when: '\${!steps.silent.output.approved}' }
  late: { signal: { name: nobody, expiresInMs: 1500, onExpiry: continue }, needs: [two] }
  three: { ${fetch('3')}, when: '\${steps.late.output == null}' }
  last: { ${send('4')}, needs: [three] }
`,
  },
  {
    ...succeeds,
    kind: 'paused',
    person: 'pauses',
    source: `${header('paused')}  first: { ${fetch('0')} }
  each: { forEach: '\${range(1, 4)}', concurrency: 1, ${send('${item}')}, needs: [first] }
  last: { ${fetch('4')}, needs: [each] }
`,
  },
  {
    ...succeeds,
    kind: 'reopened',
    person: 'retries',
    source: `${header('reopened')}  first: { ${send('0')} }
  each: { forEach: '\${range(1, 4)}', concurrency: 2, ${fetch('${item}')}, needs: [first] }
  last: { ${fetch('4?refusals=1')}, retry: { maxAttempts: 1 }, needs: [each] }
`,
  },
];
