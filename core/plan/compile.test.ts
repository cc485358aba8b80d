import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FaultDetail } from '#core/errors.ts';
import { planShapeSchema } from '#schemas/shape.ts';
import type { Json } from '#schemas/json.ts';
import { compilePlan, compilePlanText } from './compile.ts';
import type { CompiledPlan } from './compiled.ts';
import { fixtureEnvironment } from './fixture-environment.ts';
import { digestOf, loadPlan } from './load.ts';
import { parsePlan, parsePlanDocument } from './parse.ts';

const sample = `plan: log-triage
version: 1
input: { type: object, required: [path], properties: { path: { type: string }, autoApprove: { type: boolean, default: false } } }
defaults: { retry: { maxAttempts: 4 }, timeoutMs: 60000 }
steps:
  read:    { tool: log.cluster, with: { path: "\${input.path}" } }
  explain: { llm: { model: fast, prompt: "Explain this cluster of log lines: {{ cluster }}", with: { cluster: "\${item}" } }, forEach: "\${steps.read.output.clusters}", concurrency: 4 }
  signOff: { approval: { for: [report], from: "role:approver", required: 1, expiresInMs: 172800000 }, when: "\${!input.autoApprove}" }
  report:  { artifact: { name: report.md, content: "\${join(steps.explain.output, '\\\\n')}" } }
output: { report: "\${steps.report.output}" }
`;

function compile(text: string): CompiledPlan {
  const result = compilePlanText(text, fixtureEnvironment);
  expect(result.ok ? [] : result.faults).toEqual([]);
  if (!result.ok) throw new Error('the plan does not compile');
  return result.compiled;
}

function faultsOf(text: string): FaultDetail[] {
  const result = compilePlanText(text, fixtureEnvironment);
  return result.ok ? [] : result.faults;
}

const steps = (text: string): string =>
  `plan: a\ninput: { type: object, properties: { n: { type: integer }, s: { type: string }, b: { type: boolean }, list: { type: array, items: { type: integer } } } }\nsteps:\n${text}\n`;

describe('a forEach over the lines of an artifact', () => {
  const over = (forEach: string, step = 'transform: "${item.n}"'): string =>
    steps(`  make: { artifact: { name: x, content: y } }\n  each: { ${step}, forEach: ${forEach} }`);

  it('needs the step that wrote it, and is to the workflow as any other', () => {
    const { shape, steps: compiled } = compile(over('{ artifact: "${steps.make.output.artifactId}", lines: json }'));
    expect(shape.steps[1]).toEqual({ kind: 'transform', needs: [0], forEach: { concurrency: 20, quick: true }, timeoutMs: 60_000 });
    expect(compiled[1]).toMatchObject({ lines: 'json', reads: { forEach: ['make'] } });
    expect(loadPlan(compile(over(`{ artifact: "art_${'$'}{input.s}", lines: text }`, `transform: "${'$'}{item}"`)).document).steps[1]?.lines).toBe('text');
  });

  it.each([
    ['{ artifact: "${steps.make.output.sizeBytes}", lines: json }', '/steps/each/forEach/artifact', 'artifact must be text, and this is an integer'],
    [
      '{ artifact: "${steps.mak.output.artifactId}", lines: json }',
      '/steps/each/forEach/artifact',
      'in ${steps.mak.output.artifactId}: there is no step "mak"',
    ],
    [
      '{ artifact: "${item}", lines: json }',
      '/steps/each/forEach/artifact',
      'in ${item}: item is not known yet: when and forEach are evaluated once, before the items',
    ],
    ['{ artifact: art_1, line: json }', '/steps/each/forEach/line', 'unknown key "line"'],
    ['{ artifact: art_1 }', '/steps/each/forEach/lines', '"lines" is missing'],
  ])('%s is refused', (forEach, pointer, message) => {
    expect(faultsOf(over(forEach))).toEqual(expect.arrayContaining([expect.objectContaining({ pointer, message })]));
  });

  it('sees text in lines that are taken as text', () => {
    expect(faultsOf(over('{ artifact: art_1, lines: text }'))[0]?.message).toContain('item is text and has no field "n"');
  });
});

describe('cache', () => {
  const cached = (step: string, cache = '{ ttlMs: 60000 }'): string => steps(`  a: { ${step}, cache: ${cache} }`);

  it('is of the plan unless it says otherwise, and nothing to the workflow', () => {
    const { shape, steps: compiled } = compile(cached('tool: log.cluster, with: { path: "${input.s}" }'));
    expect(compiled[0]?.cache).toEqual({ ttlMs: 60_000, scope: 'plan' });
    expect(shape.steps[0]).toEqual({ kind: 'tool', needs: [], timeoutMs: 60_000 });
    expect(compile(cached('transform: 1', '{ ttlMs: 1, scope: workspace }')).steps[0]?.cache?.scope).toBe('workspace');
    expect(compile(steps('  a: { transform: 1 }')).steps[0]?.cache).toBeNull();
  });

  it.each([
    ['tool: http.post', '/steps/a/cache', 'http.post is effectful: an earlier call cannot stand in for this one'],
    ['artifact: { name: a, content: b }', '/steps/a/cache', 'unknown key "cache"'],
    ['wait: { forMs: 1 }', '/steps/a/cache', 'unknown key "cache"'],
  ])('%s is refused', (step, pointer, message) => {
    expect(faultsOf(cached(step))).toEqual([expect.objectContaining({ pointer, message })]);
  });
});

describe('the sample of the design', () => {
  it('compiles to its shape', () => {
    const compiled = compile(sample);
    expect(compiled.shape).toEqual({
      steps: [
        { kind: 'tool', needs: [], timeoutMs: 60_000 },
        { kind: 'llm', needs: [0], forEach: { concurrency: 4 }, timeoutMs: 60_000 },
        { kind: 'approval', needs: [1], when: true, timeoutMs: 60_000 },
        { kind: 'artifact', needs: [1, 2], gate: 2, timeoutMs: 60_000 },
      ],
      names: ['read', 'explain', 'signOff', 'report'],
      units: [[0], [1], [2], [3]],
      maxInFlight: 100,
      timeoutMs: null,
    });
    expect(compiled.tools).toEqual([{ name: 'log.cluster', version: 1, effect: 'idempotent' }]);
  });

  it('tells activities what each step reads and how it is tried', () => {
    const [read, explain, signOff, report] = compile(sample).steps;
    expect(read).toMatchObject({
      number: 0,
      id: 'read',
      reads: { when: [], forEach: [], input: [] },
      retry: { maxAttempts: 4, initialDelayMs: 1_000, maximumDelayMs: 60_000, backoffCoefficient: 2 },
    });
    expect(explain).toMatchObject({ reads: { forEach: ['read'], input: [] }, concurrency: 4, onFailure: { do: 'fail' }, toleratedItems: 0 });
    expect(signOff).toMatchObject({ reads: { when: [], input: [] }, gatedBy: null });
    expect(report).toMatchObject({ reads: { input: ['explain'] }, gatedBy: 'signOff' });
  });

  it('can be loaded again from its document alone', () => {
    const { shape: _shape, tools: _tools, ...compiled } = compile(sample);
    const loaded = loadPlan(JSON.parse(JSON.stringify(compiled.document)) as Json);
    expect(loaded).toEqual(compiled);
  });

  it.each<[string, string, Partial<FaultDetail>]>([
    [
      'input.path',
      'input.pth',
      { pointer: '/steps/read/with/path', message: 'in ${input.pth}: input has no field "pth"', suggestion: 'did you mean "path"?', line: 6, column: 50 },
    ],
    [
      'output.clusters',
      'output.cluster',
      { message: 'in ${steps.read.output.cluster}: steps.read.output has no field "cluster"', suggestion: 'did you mean "clusters"?', line: 7, column: 138 },
    ],
    [
      'steps.read.',
      'steps.raed.',
      { message: 'in ${steps.raed.output.clusters}: there is no step "raed"', suggestion: 'did you mean "read"?', line: 7, column: 144 },
    ],
    ['!input.autoApprove', '!input.path', { message: 'in ${!input.path}: ! negates a boolean, and this is text', line: 8, column: 113 }],
    ['tool: log.cluster', 'tool: log.clustr', { message: 'there is no tool "log.clustr"', suggestion: 'did you mean "log.cluster"?', line: 6, column: 20 }],
    ['model: fast', 'model: fats', { message: 'there is no model "fats"', suggestion: 'did you mean "fast"?', line: 7, column: 28 }],
    [
      '{{ cluster }}',
      '{{ clustr }}',
      { message: 'the template uses "clustr", which `with` does not give it', suggestion: 'did you mean "cluster"?', line: 7, column: 81 },
    ],
    ['path: "${', 'paht: "${', { message: 'log.cluster: there is no field "paht" here', suggestion: 'did you mean "path"?', line: 6, column: 41 }],
    ['"${input.path}"', '"${input.autoApprove}"', { message: 'log.cluster: this is a boolean, and text is wanted', line: 6, column: 47 }],
    ['"${input.path}"', '"${input.path}", maxClusters: 0', { pointer: '/steps/read/with/maxClusters', message: 'log.cluster: 0 is less than 1' }],
    ['"${input.path}"', '"${input.path}", nested: { kind: c }', { pointer: '/steps/read/with/nested/kind' }],
    [
      '"${input.path}"',
      '"${input.path}", tags: ["${input.autoApprove}"]',
      { pointer: '/steps/read/with/tags/0', message: 'log.cluster: this is a boolean, and text is wanted' },
    ],
    ['${input.path}', '${input.path +}', { message: 'in ${input.path +}: unexpected token: EOF', line: 6, column: 62 }],
    ['${input.path}', '${steps.explain.output[0]}', { message: 'these steps wait for each other: read needs explain needs read', line: 6, column: 3 }],
    [
      '${!input.autoApprove}',
      'input.autoApprove',
      { message: 'when must be an expression, and this is plain text', suggestion: 'write "${input.autoApprove}"' },
    ],
    ['${!input.autoApprove}', 'not ${input.autoApprove}', { message: 'when must be one expression with nothing around it' }],
    ['${!input.autoApprove}', '${item}', { message: 'in ${item}: item is only known in a step with forEach' }],
    ['${steps.read.output.clusters}', '${steps.read.output.lines}', { message: 'forEach must be a list, and this is an integer' }],
    ['"${steps.report.output}"', '"${steps.reprt.output}"', { pointer: '/output/report', suggestion: 'did you mean "report"?', line: 10, column: 28 }],
    ['type: string }', 'type: strng }', { pointer: '/input/properties/path/type', message: 'there is no type "strng"', suggestion: 'did you mean "string"?' }],
    ['default: false', 'default: 3', { pointer: '/input/properties/autoApprove/default' }],
  ])('with %s → %s names the fault, its place and a remedy', (before, after, fault) => {
    const changed = sample.replace(before, () => after);
    expect(changed).not.toBe(sample);
    expect(faultsOf(changed)).toContainEqual(expect.objectContaining(fault));
  });
});

describe('needs', () => {
  it('are what expressions mention and what is written', () => {
    const { shape } = compile(
      steps(`  a: { tool: http.post }
  b: { tool: http.post }
  c: { tool: http.post, needs: [b], when: "\${steps.a.status == 'succeeded'}", onError: continue }
  d: { tool: http.post, with: { url: "\${steps.c.output.status == 200 ? 'x' : 'y'}" }, needs: [c, a] }`),
    );
    expect(shape.steps).toMatchObject([{ needs: [] }, { needs: [] }, { needs: [0, 1], when: true, whenMentions: [0], tolerated: true }, { needs: [0, 2] }]);
  });

  it.each<[string, string]>([
    ['  a: { transform: "${steps.a.output}" }', 'step "a" reads its own result'],
    ['  a: { transform: 1, needs: [a] }', 'step "a" needs itself'],
    ['  a: { transform: 1, needs: [bb] }', 'there is no step "bb"'],
    ['  a: { transform: "${steps}" }', 'in ${steps}: `steps` must be followed by the id of a step, as in steps.read.output'],
    ['  a: { transform: "${steps[input.s].output}" }', 'in ${steps[input.s].output}: `steps` must be followed by the id of a step, as in steps.read.output'],
    [
      '  a: { transform: 1, needs: [c] }\n  b: { transform: "${steps.a.output}" }\n  c: { transform: 1, when: "${steps.b.output > 1}" }',
      'these steps wait for each other: a needs c needs b needs a',
    ],
  ])('%s', (text, message) => {
    expect(faultsOf(steps(text)).map((fault) => fault.message)).toContain(message);
  });
});

describe('approvals', () => {
  const gated = '  draft: { transform: "x" }\n  ask: { approval: { for: [send, file] } }\n';

  it('stand between what their steps need and the steps', () => {
    const { shape } = compile(
      steps(
        `${gated}  send: { tool: http.post, with: { body: "\${steps.draft.output}" } }\n  file: { artifact: { name: a, content: x }, needs: [send] }\n  after: { transform: "\${steps.ask.output.approved}" }`,
      ),
    );
    expect(shape.steps).toMatchObject([{ needs: [] }, { needs: [0] }, { needs: [0, 1], gate: 1 }, { needs: [1, 2], gate: 1 }, { needs: [1] }]);
  });

  it('may be read by the `when` of their steps', () => {
    const { shape } = compile(
      steps(`  ask: { approval: { for: [send], onDeny: continue } }\n  send: { tool: http.post, when: "\${steps.ask.output.approved}" }`),
    );
    expect(shape.steps).toMatchObject([{ needs: [] }, { needs: [0], gate: 0, whenMentions: [0] }]);
  });

  it.each<[string, RegExp]>([
    [
      `${gated}  send: { tool: http.post, with: { body: "\${steps.ask.output.approved}" } }\n  file: { artifact: { name: a, content: x } }`,
      /the input of "send" is fixed before "ask" is decided/,
    ],
    [
      `${gated}  send: { tool: http.post }\n  file: { artifact: { name: a, content: "\${steps.send.output}" } }`,
      /"file" and "send" wait for the same approval/,
    ],
    [`${gated}  send: { tool: http.post }\n  file: { wait: { forMs: 1 } }`, /"file" is of kind wait/],
    [`${gated}  send: { tool: http.post }\n  file: { transform: 1, forEach: [1] }`, /"file" has forEach/],
    [`${gated}  send: { tool: http.post }`, /there is no step "file"/],
    [`  ask: { approval: { for: [a, a] } }\n  a: { transform: 1 }`, /named twice/],
    [`  ask: { approval: { for: [a] }, forEach: [1, 2] }\n  a: { transform: 1 }`, /has forEach: each of its items covers what its own message shows/],
    [`  ask: { approval: { for: [a] } }\n  again: { approval: { for: [a] } }\n  a: { transform: 1 }`, /already waits for the approval "ask"/],
    [`  ask: { approval: {} }`, /needs `for` or a `message`/],
    [
      `  ask: { approval: { for: [a] } }\n  a: { transform: "\${steps.b.output}" }\n  b: { transform: 1, needs: [ask] }`,
      /wait for each other: ask needs b needs ask/,
    ],
  ])('%s', (text, message) => {
    expect(faultsOf(steps(text)).map((fault) => fault.message)).toContainEqual(expect.stringMatching(message));
  });
});

describe('types', () => {
  it.each([
    '  a: { transform: { n: "${input.n}" } }\n  b: { transform: "${steps.a.output.n + 1}" }',
    '  a: { llm: { model: fast, prompt: x, schema: { type: object, properties: { score: { type: number } } } } }\n  b: { transform: "${steps.a.output.score > 0.5}" }',
    '  a: { llm: { model: fast, prompt: x } }\n  b: { transform: "${steps.a.output.startsWith(\'a\')}" }',
    '  a: { transform: "${item + index}", forEach: "${input.list}" }\n  b: { transform: "${sum(steps.a.output)}" }',
    '  a: { artifact: { name: "x-${run.id}", content: { n: "${input.n}" } } }\n  b: { transform: "${steps.a.output.artifactId}" }',
    '  a: { wait: { forMs: "${input.n * 1000}" } }\n  b: { wait: { until: "2031-01-31T09:00:00+01:00" } }',
    '  a: { llm: { model: "${input.s}", prompt: x } }\n  b: { llm: { model: openai/some-model, prompt: x } }',
    '  a: { tool: http.post, onError: continue }\n  b: { transform: "${steps.a.error == null ? \'fine\' : steps.a.error.code}" }',
  ])('finds nothing wrong in %s', (text) => {
    expect(faultsOf(steps(text))).toEqual([]);
  });

  it.each<[string, RegExp]>([
    ['  a: { transform: { n: "${input.n}" } }\n  b: { transform: "${steps.a.output.m}" }', /steps\.a\.output has no field "m"/],
    ['  a: { llm: { model: fast, prompt: x } }\n  b: { transform: "${steps.a.output + 1}" }', /text \+ an integer does not exist/],
    ['  a: { transform: "${item.x}", forEach: "${input.list}" }', /item is an integer and has no field "x"/],
    ['  a: { transform: "${steps.b.outputs}" }\n  b: { transform: 1 }', /steps\.b has no field "outputs"/],
    ['  a: { transform: "${run.startedat}" }', /run has no field "startedat"/],
    ['  a: { wait: { forMs: "${input.s}" } }', /forMs must be a number, and this is text/],
    ['  a: { wait: { until: tomorrow } }', /"tomorrow" is no instant/],
    ['  a: { wait: { forMs: soon } }', /forMs is a number of milliseconds/],
    ['  a: { llm: { model: "${input.n}", prompt: x } }', /model must be text, and this is an integer/],
    ['  a: { llm: { model: builtin/sumary, prompt: x } }', /there is no model "builtin\/sumary"/],
    ['  a: { llm: { model: fast, prompt: "${input.s}" } }', /is not evaluated in a prompt/],
    ['  a: { llm: { model: fast, prompt: x, schema: { type: objct } } }', /there is no type "objct"/],
    ['  a: { transform: 1, forEach: "${[1]}", when: "${index > 1}" }', /index is not known yet/],
    ['  a: { transform: 1, when: "${input.n}" }', /when must be a boolean, and this is an integer/],
  ])('%s', (text, message) => {
    expect(faultsOf(steps(text)).map((fault) => fault.message)).toContainEqual(expect.stringMatching(message));
  });

  it('knows that a plan without input schema has no input', () => {
    expect(faultsOf('plan: a\nsteps: { a: { transform: "${input.x}" } }')[0]).toMatchObject({ suggestion: 'it has no fields' });
  });
});

describe('the content address', () => {
  it('depends on what the plan says, not on the order or form in which it is written', () => {
    const yaml = compile('plan: a\nsteps:\n  x: { tool: text.upper, with: { text: "b" } }\noutput: 1\n');
    const json = compile('{ "output": 1.0, "steps": { "x": { "with": { "text": "b" }, "tool": "text.upper" } }, "plan": "a" }');
    expect(yaml.digest).toBe(json.digest);
    expect(yaml.digest).toMatch(/^[0-9a-f]{64}$/);
    expect(compile('plan: a\nsteps:\n  x: { tool: text.upper, with: { text: "c" } }\noutput: 1\n').digest).not.toBe(yaml.digest);
  });

  it('is the same for any order of keys', () => {
    const shuffled = (value: Json, seed: number): Json => {
      if (typeof value !== 'object' || value === null) return value;
      if (Array.isArray(value)) return value.map((item) => shuffled(item, seed));
      const entries = Object.entries(value).map(([key, member]): [string, Json] => [key, shuffled(member, seed)]);
      return Object.fromEntries(seed % 2 === 0 ? entries.toReversed() : entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
    };
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(), (value, seed) => {
        expect(digestOf(shuffled(value as Json, seed))).toBe(digestOf(value as Json));
      }),
    );
  });
});

describe('size and speed', () => {
  it('compiles 2,000 steps without stalling its process', () => {
    const text = `plan: big\nsteps:\n${Array.from({ length: 2_000 }, (_, index) =>
      index === 0
        ? '  s0: { tool: log.cluster, with: { path: a } }'
        : `  s${index}: { tool: log.cluster, with: { path: "\${steps.s0.output.clusters.filter(c, c.count > ${index})[0].template}" }, when: "\${steps.s${Math.floor(index / 2)}.status == 'succeeded'}" }`,
    ).join('\n')}\n`;
    const parsed = parsePlan(text);
    if (!parsed.ok) throw new Error('the plan is well-formed');
    // Processor time of this thread: other tests run beside this one.
    const times = Array.from({ length: 1 }, () => {
      const before = process.threadCpuUsage();
      expect(compilePlan(parsed.parsed, fixtureEnvironment).ok).toBe(true);
      const { user, system } = process.threadCpuUsage(before);
      return (user + system) / 1_000;
    });
    expect(Math.min(...times)).toBeLessThan(10_000);
  });

  it('refuses a shape over 256 kB', () => {
    const many = Array.from({ length: 300 }, (_, index) => `  a${index}: { tool: http.post }`);
    const names = Array.from({ length: 300 }, (_, index) => `a${index}`).join(', ');
    const all = Array.from({ length: 400 }, (_, index) => `  b${index}: { tool: http.post, needs: [${names}] }`);
    expect(faultsOf(steps([...many, ...all].join('\n')))[0]).toMatchObject({
      pointer: '/steps',
      message: expect.stringContaining('256000 are allowed') as string,
    });
  });

  it('reports a long cycle without overflowing', () => {
    const chain = Array.from({ length: 2_000 }, (_, index) => `  s${index}: { transform: 1, needs: [s${(index + 1) % 2_000}] }`);
    expect(faultsOf(steps(chain.join('\n')))).toHaveLength(1);
  });
});

describe('any plan', () => {
  const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
  const expression = fc.constantFrom(
    '${steps.a.output}',
    '${steps.b.output}',
    '${steps.c.status}',
    '${steps.d.output.text}',
    '${input.n + 1}',
    '${item}',
    '${nonsense(',
    'plain',
    '${steps.q.output}',
    '${run.id}',
  );
  const step = fc.oneof(
    fc.record({ transform: expression, forEach: expression, when: expression, needs: fc.subarray(ids) }, { requiredKeys: ['transform'] }),
    fc.record(
      { tool: fc.constantFrom('text.upper', 'http.post', 'no.tool'), with: fc.record({ text: expression }), needs: fc.subarray(ids) },
      { requiredKeys: ['tool', 'with'] },
    ),
    fc.record({ approval: fc.record({ for: fc.subarray(ids, { minLength: 1 }), message: expression }, { requiredKeys: ['for'] }) }),
    fc.record({
      llm: fc.record({ model: fc.constantFrom('fast', 'none'), prompt: fc.constantFrom('x', '{{ y }}', '{{') }),
      onError: fc.constantFrom('fail', 'continue'),
    }),
    fc.record({ wait: fc.record({ forMs: fc.nat() }), when: fc.boolean() }),
  );
  const plan = fc.record(
    {
      plan: fc.constant('any'),
      steps: fc.dictionary(fc.constantFrom(...ids), step, { minKeys: 1, maxKeys: 6 }),
      output: expression,
      fuse: fc.constantFrom('none', 'pure', 'effects'),
    },
    { requiredKeys: ['plan', 'steps'] },
  );

  it('compiles or is refused with faults; a shape is valid and its units are a partition in order', () => {
    let compiled = 0;
    fc.assert(
      fc.property(plan, (document) => {
        const parsed = parsePlanDocument(document);
        if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
        const result = compilePlan(parsed.parsed, fixtureEnvironment);
        if (!result.ok) {
          expect(result.faults.length).toBeGreaterThan(0);
          return;
        }
        compiled += 1;
        const { shape } = result.compiled;
        expect(planShapeSchema.parse(shape)).toEqual(shape);
        expectUnits(shape.units, shape.steps);
      }),
      { numRuns: 1_500 },
    );
    expect(compiled).toBeGreaterThan(20);
  });
});

function expectUnits(units: number[][], shapeSteps: CompiledPlan['shape']['steps']): void {
  expect(units.flat().toSorted((a, b) => a - b)).toEqual(shapeSteps.map((_, number) => number));
  for (const unit of units) {
    for (const [position, member] of unit.entries()) {
      const needs = shapeSteps[member]?.needs ?? [];
      if (position > 0) expect(needs.every((need) => unit.slice(0, position).includes(need))).toBe(true);
      if (unit.length > 1) expect(shapeSteps[member]?.gate ?? shapeSteps[member]?.forEach).toBeUndefined();
    }
  }
}

describe('steps that wait', () => {
  it('see their item, and give a list', () => {
    const compiled = compile(
      steps(
        `  ask: { approval: { message: "\${item} of \${index}?" }, forEach: "\${input.list}", concurrency: 3 }\n  nap: { wait: { forMs: "\${item}" }, forEach: "\${input.list}" }\n  sum: { transform: "\${size(steps.ask.output.filter(one, one.approved)) + size(steps.nap.output)}" }`,
      ),
    );
    expect(compiled.shape.steps.slice(0, 2)).toEqual([
      { kind: 'approval', needs: [], forEach: { concurrency: 3 }, timeoutMs: 60_000 },
      { kind: 'wait', needs: [], forEach: { concurrency: 20 }, timeoutMs: 60_000 },
    ]);
    expect(faultsOf(steps(`  ask: { approval: { message: "\${item}?" } }`))[0]?.message).toContain('item is only known in a step with forEach');
  });

  it('for a signal know the type of what is sent', () => {
    const paid = `  paid: { signal: { name: payment, schema: { type: object, properties: { amount: { type: integer } }, additionalProperties: false } } }\n`;
    expect(compile(steps(`${paid}  next: { transform: "\${steps.paid.output.amount + 1}" }`)).shape.steps[0]).toEqual({
      kind: 'signal',
      needs: [],
      timeoutMs: 60_000,
    });
    expect(faultsOf(steps(`${paid}  next: { transform: "\${steps.paid.output.amuont}" }`))[0]).toMatchObject({
      line: 5,
      suggestion: expect.stringContaining('amount'),
    });
  });

  it.each([
    [`  one: { signal: { name: "a b" } }`, /"a b" is no name of a signal/],
    [`  one: { signal: { name: a, schema: { typ: object } } }`, /typ/],
    [`  one: { signal: { name: a, expiresInMs: 5 } }`, /1000/],
    [`  one: { signal: { name: "\${input.n}" } }`, /name must be text, and this is/],
  ])('%s is refused', (text, message) => {
    expect(faultsOf(steps(text)).map((fault) => fault.message)).toEqual([expect.stringMatching(message)]);
  });
});

describe('the faults of a plan', () => {
  const at = (text: string): string[] => faultsOf(text).map(({ line, column, message }) => `${line}:${column} ${message}`);

  it('come all at once, in the order of the text, whatever finds them', () => {
    expect(
      at(`plan: many
retries: 3
input: { type: object, properties: { n: { type: integer } } }
steps:
  a: { wait: { forMs: -1 } }
  b: { transform: "\${input.m}" }
  c: { transform: "\${steps.x.output}", needs: [a] }
  d: { tool: fs.raed, with: {} }
  e: { transform: "\${steps.a.output.until + 1}", when: "\${1}" }
  sign: { approval: { for: [f] } }
  f: { artifact: { name: 5, content: x } }
  g: { llm: { model: fast, prompt: "x" }, onError: { step: h } }
  h: { llm: { model: fast } }
output: "\${steps.h.output.nothing + steps.b.output}"
`),
    ).toEqual([
      '2:1 unknown key "retries"',
      '5:23 must be at least 0, not -1',
      expect.stringMatching(/^6:\d+ in \$\{input.m\}: /),
      '7:28 in ${steps.x.output}: there is no step "x"',
      '8:14 there is no tool "fs.raed"',
      '9:56 when must be a boolean, and this is an integer',
      '11:26 must be text, not 5',
      '13:13 "prompt" is missing',
    ]);
  });

  it('are without what merely follows from another: nothing is known of a step whose form is wrong, nor of an input under a misspelt key', () => {
    expect(at('plan: a\ninpt: { type: object }\nsteps:\n  one: { transform: "${input.text}" }\n')).toEqual(['2:1 unknown key "inpt"']);
    const step = '  one: { tool: fs.read, wth: { path: x } }';
    expect(at(`plan: a\nsteps:\n${step}\n  two: { transform: "\${steps.one.output.anything[0] + 1}" }\n`)).toEqual(['3:25 unknown key "wth"']);
    expect(at(`plan: a\nsteps:\n${step}\n  two: { approval: { for: [one] } }\n  three: { transform: 1, onError: { step: one } }\n`)).toEqual([
      '3:25 unknown key "wth"',
    ]);
    expect(at('plan: a\nsteps:\n  One: { transform: 1 }\n  two: { transform: "${steps.three.output}" }\n')).toHaveLength(1);
  });
});
