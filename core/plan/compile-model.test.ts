import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { FaultDetail } from '#core/errors.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import type { PlanShape, StepShape } from '#schemas/shape.ts';
import { mayBeQuick, mayFuse, naiveCompile, type NaivePlan, type NaiveStep } from '#tests/compiler-model/naive-compiler.ts';
import { modelEnvironment, randomDocument } from '#tests/compiler-model/random-document.ts';
import { proofSize } from '#tests/rig/proof-size.ts';
import { type CompileResult, compilePlan, compilePlanText } from './compile.ts';
import type { CompiledPlan } from './compiled.ts';
import { loadPlan } from './load.ts';
import { parsePlanDocument } from './parse.ts';

const plans = proofSize(1_000, 10_000);

function compileDocument(document: JsonObject): CompileResult {
  const parsed = parsePlanDocument(document);
  return parsed.ok ? compilePlan(parsed.parsed, modelEnvironment) : parsed;
}

const isCycle = ({ message }: FaultDetail): boolean => message.startsWith('these steps wait for each other');
const pointersOf = (faults: readonly FaultDetail[]): string[] =>
  [...new Set(faults.filter((fault) => !isCycle(fault)).map(({ pointer }) => pointer))].toSorted();
const sorted = (some: Iterable<string>): string[] => [...some].toSorted();

/** Every random plan that compiles, with what the naive compiler makes of it. */
function eachCompiled(check: (compiled: CompiledPlan, naive: NaivePlan, document: JsonObject) => void): void {
  let compiled = 0;
  fc.assert(
    fc.property(randomDocument, (document) => {
      const result = compileDocument(document);
      if (!result.ok) return;
      compiled += 1;
      check(result.compiled, naiveCompile(document, modelEnvironment.tools), document);
    }),
    { numRuns: plans },
  );
  expect(compiled).toBeGreaterThan(plans / 5);
}

describe('any plan, against a compiler that is written as simply as can be', { timeout: 600_000 }, () => {
  it('is refused exactly where that finds a fault', () => {
    let refused = 0;
    let cycles = 0;
    fc.assert(
      fc.property(randomDocument, (document) => {
        const naive = naiveCompile(document, modelEnvironment.tools);
        const result = compileDocument(document);
        const faults = result.ok ? [] : result.faults;
        expect(pointersOf(faults)).toEqual(sorted(naive.faults));
        // Needs that are forbidden are left out of the graph, in the one way or the other.
        if (naive.faults.size === 0) expect(faults.some(isCycle)).toBe(naive.hasCycle);
        if (naive.faults.size > 0) refused += 1;
        if (naive.hasCycle) cycles += 1;
      }),
      { numRuns: plans },
    );
    expect(Math.min(refused, cycles)).toBeGreaterThan(plans / 50);
  });

  it('knows of each step what that knows, by its number in the order in which it is written', () => {
    eachCompiled(({ shape, steps }, naive, document) => {
      expect(shape.names).toEqual(Object.keys(document['steps'] as JsonObject));
      expect(steps.map(({ id, number }) => [id, number])).toEqual([...naive.steps.keys()].map((id, number) => [id, number]));
      const named = shape.steps.map((step) => byId(step, shape));
      expect(named).toEqual([...naive.steps.values()].map(shapeOfNaive));
      expect(steps.map(({ retry }) => retry.maxAttempts)).toEqual([...naive.steps.values()].map(({ maxAttempts }) => maxAttempts));
      expect({ maxInFlight: shape.maxInFlight, timeoutMs: shape.timeoutMs }).toEqual({
        maxInFlight: document['maxInFlight'] ?? 100,
        timeoutMs: document['timeoutMs'] ?? null,
      });
    });
  });

  it('has every step in one unit, and in a longer one only what may share it, in an order in which needs come first', () => {
    let chains = 0;
    eachCompiled(({ shape }, naive, document) => {
      expect(shape.units.flat().toSorted((one, other) => one - other)).toEqual(shape.steps.map((_, number) => number));
      const units = shape.units.map((unit) => unit.map((number) => naive.steps.get(shape.names?.[number] ?? '') as NaiveStep));
      for (const unit of units.filter(({ length }) => length > 1)) {
        chains += 1;
        unit.forEach((step, position) => {
          const before = unit.slice(0, position).map(({ id }) => id);
          expect(mayFuse(document, step, modelEnvironment.tools)).toBe(true);
          expect([...step.needs].filter((need) => !before.includes(need))).toEqual(position === 0 ? [...step.needs] : []);
          expect(position === 0 || step.needs.size > 0).toBe(true);
        });
      }
      for (const unit of units) expect(waitsLonger(unit, naive)).toEqual([]);
      expect(couldJoin(units, naive, document)).toEqual([]);
    });
    expect(chains).toBeGreaterThan(plans / 50);
  });

  it('has a unit done in the workflow’s own task only where each of its steps may be', () => {
    let quick = 0;
    eachCompiled(({ shape }, naive, document) => {
      const wanted = shape.units.flatMap((unit, number) =>
        unit.every((step) => mayBeQuick(document, naive.steps.get(shape.names?.[step] ?? '') as NaiveStep, modelEnvironment.tools)) ? [number] : [],
      );
      expect(shape.quick ?? []).toEqual(wanted);
      quick += wanted.length;
    });
    expect(quick).toBeGreaterThan(plans / 50);
  });
});

describe('any plan', { timeout: 600_000 }, () => {
  it('has the same address and the same faults as YAML, as JSON and with its keys in any order; and its steps mean the same', () => {
    fc.assert(
      fc.property(randomDocument, fc.nat(), (document, seed) => {
        const result = compileDocument(document);
        const reordered = shuffled(document, seed) as JsonObject;
        const forms = [compilePlanText(stringify(document), modelEnvironment), compilePlanText(JSON.stringify(document), modelEnvironment, 'json')];
        for (const form of forms) expect(summary(form)).toEqual(summary(result));
        const other = compileDocument(reordered);
        if (!result.ok || !other.ok) return;
        expect(other.compiled.digest).toBe(result.compiled.digest);
        expect(stepsById(other.compiled.shape)).toEqual(stepsById(result.compiled.shape));
      }),
      { numRuns: plans / 2 },
    );
  });

  it('has another address when anything of it is different', () => {
    fc.assert(
      fc.property(randomDocument, randomDocument, (one, other) => {
        const [first, second] = [compileDocument(one), compileDocument(other)];
        if (!first.ok || !second.ok) return;
        const equal = JSON.stringify(shuffled(one, 0)) === JSON.stringify(shuffled(other, 0));
        expect(first.compiled.digest === second.compiled.digest).toBe(equal);
      }),
      { numRuns: plans / 2 },
    );
  });

  it('is loaded from what is stored as it was compiled', () => {
    eachCompiled((compiled, _, document) => {
      const { shape: _shape, tools: _tools, ...loaded } = compiled;
      expect(loadPlan(document)).toEqual(loaded);
    });
  });

  it.each(damages())('$name is refused there', ({ damage }) => {
    fc.assert(
      fc.property(randomDocument, fc.nat(), (document, which) => {
        const damaged = damage(structuredClone(document), which);
        if (damaged === null) return;
        const result = compileDocument(damaged.document);
        expect(result.ok ? [] : result.faults.map(({ pointer }) => pointer)).toContain(damaged.pointer);
      }),
      { numRuns: 200 },
    );
  });
});

/** As the shape has it, with ids in the place of numbers. */
function byId({ needs, gate, whenMentions, fallbackOf, fallbacks, ...step }: StepShape, { names = [] }: PlanShape): object {
  const ids = (numbers: readonly number[] = []): string[] => {
    expect(numbers).toEqual([...new Set(numbers)].toSorted((one, other) => one - other));
    return sorted(numbers.map((number) => names[number] ?? ''));
  };
  return {
    kind: step.kind,
    needs: ids(needs),
    gate: gate === undefined ? null : names[gate],
    harmless: sorted(new Set([...ids(whenMentions), ...ids(fallbacks)])),
    fallbackOf: fallbackOf === undefined ? null : names[fallbackOf],
    tolerated: step.tolerated === true,
    timeoutMs: step.timeoutMs,
    undoTimeoutMs: step.undo?.timeoutMs ?? null,
    concurrency: step.forEach?.concurrency ?? null,
    contained: step.forEach?.contained === true,
    maxIterations: step.repeat?.maxIterations ?? null,
  };
}

function shapeOfNaive(step: NaiveStep): object {
  const { kind, gate, fallbackOf, tolerated, timeoutMs, undoTimeoutMs, concurrency, contained, maxIterations } = step;
  return {
    kind,
    needs: sorted(step.needs),
    gate,
    harmless: sorted(step.harmless),
    fallbackOf,
    tolerated,
    timeoutMs,
    undoTimeoutMs,
    concurrency,
    contained,
    maxIterations,
  };
}

/** Who needs a member of the unit and not all that comes after it: the unit would keep it waiting. */
const waitsLonger = (unit: readonly NaiveStep[], { steps }: NaivePlan): string[] =>
  [...steps.values()]
    .filter(({ id }) => !unit.some((member) => member.id === id))
    .filter(({ needs }) => unit.some((member, position) => needs.has(member.id) && unit.slice(position + 1).some(({ id }) => !needs.has(id))))
    .map(({ id }) => id);

/** Steps that a unit should have taken in: they need nothing outside of it, and nobody would wait longer for it. */
const couldJoin = (units: readonly NaiveStep[][], naive: NaivePlan, document: JsonObject): string[] =>
  units.flatMap((unit) => {
    if (!unit.every((member) => mayFuse(document, member, modelEnvironment.tools))) return [];
    const members = new Set(unit.map(({ id }) => id));
    return [...naive.steps.values()]
      .filter((step) => !members.has(step.id) && step.needs.size > 0 && step.needs.isSubsetOf(members) && mayFuse(document, step, modelEnvironment.tools))
      .filter((step) => waitsLonger([...unit, step], naive).length === 0)
      .map(({ id }) => `${[...members].join(' ')} + ${id}`);
  });

const stepsById = (shape: PlanShape): object => Object.fromEntries(shape.steps.map((step, number) => [shape.names?.[number] ?? '', byId(step, shape)]));

const summary = (result: CompileResult): object =>
  result.ok
    ? { digest: result.compiled.digest, shape: result.compiled.shape }
    : { faults: sorted(result.faults.map(({ pointer, message }) => `${pointer} ${message}`)) };

/** The same value with the keys of its objects in another order; with seed 0, in that of the alphabet. */
function shuffled(value: Json, seed: number): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => shuffled(item, seed));
  const place = (key: string): number => (seed === 0 ? 0 : Math.imul(seed + key.length, (key.charCodeAt(0) + seed) | 1) % 1_009);
  const entries = Object.entries(value).toSorted(([one], [other]) => place(one) - place(other) || (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([key, member]) => [key, shuffled(member, seed)]));
}

type Damage = (document: JsonObject, which: number) => { document: JsonObject; pointer: string } | null;

/** One thing that no plan may have, and where it then stands. Null: this plan has no place for it. */
function damages(): { name: string; damage: Damage }[] {
  const inStep =
    (change: (step: JsonObject, kind: string) => string | null): Damage =>
    (document, which) => {
      const steps = document['steps'] as { [id: string]: JsonObject };
      const [id, step] = Object.entries(steps)[which % Object.keys(steps).length] ?? ['', {}];
      const kind = Object.keys(step).find((key) => ['transform', 'llm', 'tool', 'artifact', 'wait', 'approval', 'signal', 'plan'].includes(key)) ?? '';
      const place = change(step, kind);
      return place === null ? null : { document, pointer: `/steps/${id}${place}` };
    };
  const set =
    (key: string, value: Json, place = `/${key}`): ((step: JsonObject) => string) =>
    (step) => {
      step[key] = value;
      return place;
    };
  const onlyFor = (fits: (kind: string, step: JsonObject) => boolean, change: (step: JsonObject) => string): Damage =>
    inStep((step, kind) => (fits(kind, step) ? change(step) : null));
  return [
    { name: 'an unknown key of the plan', damage: (document) => ({ document: { ...document, stepps: 1 }, pointer: '/stepps' }) },
    { name: 'an unknown key of a step', damage: inStep(set('retries', 3)) },
    {
      name: 'an unknown key in what a step does',
      damage: onlyFor(
        (kind) => ['llm', 'artifact', 'signal', 'approval'].includes(kind),
        (step) => {
          const kind = ['llm', 'artifact', 'signal', 'approval'].find((key) => key in step) ?? '';
          (step[kind] as JsonObject)['colour'] = 'red';
          return `/${kind}/colour`;
        },
      ),
    },
    {
      name: 'a step of two kinds',
      damage: onlyFor(
        (kind) => kind !== 'wait' && kind !== 'transform',
        (step) => (set('transform', 1)(step), `/${second(step)}`),
      ),
    },
    {
      name: 'a repeat of what cannot',
      damage: onlyFor((kind) => ['wait', 'approval', 'signal'].includes(kind), set('repeat', { until: '${true}', maxIterations: 1 })),
    },
    { name: 'an undo of what cannot', damage: onlyFor((kind) => ['transform', 'llm', 'wait'].includes(kind), set('undo', { tool: 'effectful.quick' })) },
    { name: 'a time-out of what waits', damage: onlyFor((kind) => ['wait', 'approval', 'signal', 'plan'].includes(kind), set('timeoutMs', 5)) },
    { name: 'concurrency without forEach', damage: onlyFor((_, step) => !('forEach' in step), set('concurrency', 2)) },
    { name: 'a time-out of nothing', damage: onlyFor((kind) => kind === 'transform', set('timeoutMs', 0)) },
    { name: 'half a millisecond', damage: onlyFor((kind) => kind === 'tool', set('timeoutMs', 1.5)) },
    { name: 'a need that is a number', damage: inStep(set('needs', [7], '/needs/0')) },
    { name: 'an expression that ends too early', damage: onlyFor((kind) => kind === 'transform', set('transform', '${steps.')) },
    { name: 'a step that is found by an expression', damage: onlyFor((kind) => kind === 'transform', set('transform', '${steps[run.id].status}')) },
    { name: 'a "when" that is text', damage: inStep(set('when', 'always')) },
    { name: 'a "when" that is a number', damage: inStep(set('when', '${1 + 1}')) },
    {
      name: 'a name that no step can have',
      damage: (document) => ({ document: { ...document, steps: { ...(document['steps'] as JsonObject), Big: { transform: 1 } } }, pointer: '/steps/Big' }),
    },
    { name: 'no step at all', damage: (document) => ({ document: { ...document, steps: {} }, pointer: '/steps' }) },
    { name: 'no name', damage: ({ steps = {} }) => ({ document: { steps }, pointer: '/plan' }) },
  ];
}

/** Of the two kinds that a step is of, the one that is told of: the later one in the list of kinds. */
const second = (step: JsonObject): string =>
  ['transform', 'llm', 'tool', 'artifact', 'wait', 'approval', 'signal', 'plan'].filter((kind) => kind in step)[1] ?? '';
