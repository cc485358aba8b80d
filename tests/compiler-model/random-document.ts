import fc from 'fast-check';
import type { PlanEnvironment } from '#core/plan/compiled.ts';
import type { Json, JsonObject } from '#schemas/json.ts';

/** What the plans of the model may refer to: a tool of each effect, quick and not. */
export const modelEnvironment: PlanEnvironment = {
  models: ['fast'],
  tools: (['pure', 'idempotent', 'effectful'] as const).flatMap((effect) =>
    [true, false].map((quick) => ({
      name: `${effect}.${quick ? 'quick' : 'slow'}`,
      version: 1,
      effect,
      quick,
      inputSchema: { type: 'object', properties: { text: { type: 'string' } }, additionalProperties: false },
      outputSchema: { type: 'object' },
    })),
  ),
};
const toolNames = modelEnvironment.tools.map(({ name }) => name);

/** Another step, by a number: mostly one of those before it, so that most plans have no cycle. */
interface Mention {
  to: number;
  /** The one just before it: so chains come about. */
  near: boolean;
  anywhere: boolean;
  way: number;
}

const mention: fc.Arbitrary<Mention> = fc.record({ to: fc.nat(20), near: fc.boolean(), anywhere: rarely(60), way: fc.nat(20) });

function rarely(outOf: number): fc.Arbitrary<boolean> {
  return fc.nat(outOf).map((drawn) => drawn === outOf);
}

const sometimes = <Value>(value: fc.Arbitrary<Value>, outOf = 3): fc.Arbitrary<Value | undefined> => fc.option(value, { nil: undefined, freq: outOf });
const seldom = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.nat(5).chain((drawn) => (drawn === 5 ? value.map((some): Value | undefined => some) : fc.constant(undefined)));

const durationMs = fc.constantFrom(1, 5_000, 60_000, 60_001, 600_000);
const retry = fc.record(
  {
    maxAttempts: fc.integer({ min: 1, max: 100 }),
    initialDelayMs: fc.nat(90_000),
    maximumDelayMs: fc.nat(90_000),
    backoffCoefficient: fc.constantFrom(1, 2.5),
  },
  { requiredKeys: [] },
);
const failOrContinue = fc.constantFrom('fail', 'continue');

const richStep = fc.record({
  kind: fc.constantFrom(
    'transform',
    'transform',
    'transform',
    'tool',
    'tool',
    'tool',
    'llm',
    'artifact',
    'wait',
    'check',
    'approval',
    'approval',
    'approval',
    'signal',
    'plan',
  ),
  tool: fc.constantFrom(...toolNames),
  texts: fc.array(mention, { maxLength: 2 }),
  needs: sometimes(fc.array(mention, { maxLength: 2 }), 1),
  when: seldom(mention),
  forEach: seldom(fc.oneof(mention, fc.constant('literal' as const), fc.constant('lines' as const))),
  concurrency: sometimes(fc.integer({ min: 1, max: 500 })),
  onItemError: sometimes(fc.oneof(failOrContinue, fc.record({ tolerate: fc.integer({ min: 1, max: 9 }) }))),
  onError: sometimes(fc.oneof(failOrContinue, fc.record({ value: mention }), fc.record({ step: fc.option(mention, { freq: 1 }) }))),
  repeat: seldom(fc.record({ condition: mention, until: fc.boolean(), maxIterations: fc.integer({ min: 1, max: 10_000 }) })),
  timeoutMs: seldom(durationMs),
  retry: seldom(retry),
  undo: seldom(fc.record({ tool: fc.constantFrom(...toolNames.slice(2)), text: mention, timeoutMs: sometimes(durationMs) })),
  cache: rarely(12),
  covers: fc.array(mention, { maxLength: 2 }),
});
type DrawnStep = typeof richStep extends fc.Arbitrary<infer Step> ? Step : never;

/** Most steps of most plans: so that most plans compile, and hold chains. */
const plainStep = fc
  .record({
    kind: fc.constantFrom('transform', 'transform', 'tool', 'artifact'),
    tool: fc.constantFrom(...toolNames),
    texts: fc.array(mention, { maxLength: 2 }),
    when: seldom(mention),
    onError: seldom(fc.constant({ step: null })),
  })
  .map(
    (plain): DrawnStep => ({
      needs: undefined,
      forEach: undefined,
      concurrency: undefined,
      onItemError: undefined,
      repeat: undefined,
      timeoutMs: undefined,
      retry: undefined,
      undo: undefined,
      cache: false,
      covers: [],
      ...plain,
    }),
  );

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l'];

/** A plan whose form is right, and which may mean nonsense: cycles, approvals of what cannot be shown, fallbacks that cannot stand in … */
export const randomDocument: fc.Arbitrary<JsonObject> = fc
  .record({
    steps: fc.array(fc.oneof(plainStep, plainStep, richStep), { minLength: 1, maxLength: ids.length }),
    order: fc.array(fc.nat(1_000), { minLength: ids.length, maxLength: ids.length }),
    fuse: sometimes(fc.constantFrom('none', 'pure', 'effects', 'effects')),
    defaults: sometimes(
      fc.record({ retry, timeoutMs: durationMs, onError: failOrContinue, concurrency: fc.integer({ min: 1, max: 500 }) }, { requiredKeys: [] }),
      1,
    ),
    output: sometimes(mention),
    maxInFlight: sometimes(fc.integer({ min: 1, max: 500 })),
    timeoutMs: sometimes(durationMs),
  })
  .map(({ steps, order, output, ...header }) => {
    const written = steps.map((step, position): [string, Json] => [ids[position] ?? '', writeStep(step, position, steps)]);
    const shuffled = written.map((entry, position) => ({ entry, key: order[position] ?? 0 })).toSorted((one, other) => one.key - other.key);
    return present({
      plan: 'any',
      ...header,
      steps: Object.fromEntries(shuffled.map(({ entry }) => entry)),
      output: output === undefined ? undefined : textOf(output, steps.length, steps.length),
    });
  });

/** Without what is not said. */
const present = (object: { [key: string]: Json | undefined }): JsonObject =>
  Object.fromEntries(Object.entries(object).filter((entry): entry is [string, Json] => entry[1] !== undefined));

/** Null: there is no step before this one. */
function idOf({ to, near, anywhere }: Mention, position: number, count: number): string | null {
  if (anywhere) return ids[to % (count + 1)] ?? null;
  return position === 0 ? null : (ids[near ? position - 1 : to % position] ?? null);
}

const mentions: ((id: string) => string)[] = [
  (id) => `\${steps.${id}.status}`,
  (id) => `to \${steps.${id}.status}!`,
  (id) => `\${"a" + steps.${id}.status}`,
  (id) => `\${steps["${id}"].status}`,
  (id) => `\${steps.${id}.status == "failed" ? "a" : "b"}, \${run.id}`,
  // These mention nothing.
  (id) => `steps.${id}.status`,
  (id) => `$\${steps.${id}.status}`,
  (id) => `\${"steps.${id}.status"}`,
];

function textOf(of: Mention, position: number, count: number): string {
  const id = idOf(of, position, count);
  return id === null ? 'nothing' : (mentions[of.way % mentions.length]?.(id) ?? '');
}

function conditionOf(of: Mention, position: number, count: number): string {
  const id = idOf(of, position, count);
  return id === null ? '${true}' : `\${steps.${id}.status != "failed"}`;
}

function writeStep(drawn: DrawnStep, position: number, steps: readonly DrawnStep[]): JsonObject {
  const count = steps.length;
  const text = (of: Mention): string => textOf(of, position, count);
  const condition = (of: Mention): string => conditionOf(of, position, count);
  const named = (some: readonly Mention[]): string[] => some.map((of) => idOf(of, position, count)).filter((id) => id !== null);
  const { kind, needs, when, onError } = drawn;
  const working = works(drawn);
  return present({
    ...workOf(drawn, drawn.texts.map(text), condition, named),
    needs: needs === undefined ? undefined : named(needs),
    when: when === undefined ? undefined : when.way === 0 ? true : condition(when),
    ...writeItems(drawn, position, count),
    onError:
      typeof onError === 'object'
        ? 'value' in onError
          ? { value: text(onError.value) }
          : stepOf(onError.step === null ? nextThatCanStandIn(steps, position) : named([onError.step]))
        : onError,
    repeat: (working || kind === 'plan') && drawn.repeat !== undefined ? writeRepeat(drawn.repeat, condition) : undefined,
    timeoutMs: working ? drawn.timeoutMs : undefined,
    retry: working || kind === 'plan' ? drawn.retry : undefined,
    undo:
      ['tool', 'artifact', 'plan'].includes(kind) && drawn.undo !== undefined
        ? present({ tool: drawn.undo.tool, with: { text: text(drawn.undo.text) }, timeoutMs: drawn.undo.timeoutMs })
        : undefined,
    cache: drawn.cache && ['transform', 'llm', 'tool'].includes(kind) ? { ttlMs: 1_000 } : undefined,
  });
}

const works = ({ kind }: DrawnStep): boolean => ['transform', 'tool', 'llm', 'artifact'].includes(kind);

function nextThatCanStandIn(steps: readonly DrawnStep[], position: number): string[] {
  const next = steps.findIndex((step, other) => other > position && works(step) && step.forEach === undefined);
  return next === -1 ? [] : [ids[next] ?? ''];
}

const stepOf = ([id]: readonly string[]): Json | undefined => (id === undefined ? undefined : { step: id });

const writeRepeat = ({ condition, until, maxIterations }: NonNullable<DrawnStep['repeat']>, write: (of: Mention) => string): JsonObject => ({
  [until ? 'until' : 'while']: write(condition),
  maxIterations,
});

function writeItems({ forEach, concurrency, onItemError }: DrawnStep, position: number, count: number): { [key: string]: Json | undefined } {
  if (forEach === undefined) return {};
  if (forEach === 'literal') return { forEach: [1, 2], concurrency, onItemError };
  if (forEach === 'lines') return { forEach: { artifact: 'art_1', lines: 'text' }, concurrency, onItemError };
  const id = idOf(forEach, position, count);
  return { forEach: id === null ? '${[1]}' : `\${[steps.${id}.status]}`, concurrency, onItemError };
}

/** What the step does, in the form of its kind. */
function workOf(
  { kind, tool, covers }: DrawnStep,
  texts: readonly string[],
  condition: (of: Mention) => string,
  named: (some: readonly Mention[]) => string[],
): { [key: string]: Json | undefined } {
  const text = texts.join(' ');
  switch (kind) {
    case 'transform':
      return { transform: { deep: [{ values: [...texts] }] } };
    case 'tool':
      return { tool, with: { text } };
    case 'llm':
      return { llm: { model: 'fast', prompt: 'About {{ value }}', with: { value: [...texts] } } };
    case 'artifact':
      return { artifact: { name: 'note.txt', content: text } };
    case 'wait':
      return { wait: { forMs: 5 } };
    case 'check':
      return { wait: { check: { tool, with: { text } }, until: covers[0] === undefined ? '${true}' : condition(covers[0]), everyMs: 1_000 } };
    case 'approval':
      return { approval: present({ for: named(covers).length === 0 ? undefined : named(covers), message: texts.length === 0 ? undefined : text }) };
    case 'signal':
      // A name that is known when the plan is saved must be one.
      return { signal: { name: `paid${texts.filter((one) => !one.startsWith('$$')).join('')}` } };
    default:
      return { plan: 'other', with: { value: [...texts] } };
  }
}
