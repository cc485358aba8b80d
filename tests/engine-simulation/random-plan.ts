import type { PlanShape, StepKind, StepShape } from '#schemas/shape.ts';
import { divideIntoUnits, fusionOf } from '#core/plan/units.ts';
import type { Outcome } from '#core/engine/outcome.ts';
import { waits } from '#core/engine/waiting-items.ts';
import { Random } from './random.ts';

/** What a step (or an item of it) will do when it is tried; the engine does not know it. */
export interface Behaviour {
  /** Attempts that fail before the last one. */
  failures: number;
  last: 'good' | 'bad' | 'uncertain';
  /** Of a step that repeats: rounds before the last one, which is what the others speak of. */
  rounds: number;
  /** Of an uncertain one: what a person says of it, and how long that takes. */
  resolution: { answer: 'happened' | 'again' | 'skip'; afterMs: number };
}

/** What becomes of a wait: of a step, or of one item of it. */
export interface SimulatedWait {
  /** Of an approval what people do, of a signal whether it comes (approve), ms after it was opened. `silence`: it expires. */
  decision: { answer: 'approve' | 'deny' | 'silence'; afterMs: number };
  /** A signal that was there before its step. */
  early: boolean;
  /** How long it is open. */
  openMs: number;
  /** Of a wait until a condition: looks that find it not met. Null: it is another wait. */
  looks: number | null;
  /** Of a sub-plan: runs that fail before the one that ends as its decision says. */
  failures: number;
}

export interface SimulatedStep extends SimulatedWait {
  /** `when` evaluates to this. */
  when: boolean;
  behaviour: Behaviour;
  items: Behaviour[] | null;
  /** Of a step that waits, with forEach. */
  itemWaits: SimulatedWait[] | null;
  /** `onDeny: continue`, `onExpiry: continue`. */
  onDenyContinue: boolean;
  repeats: boolean;
  /** What taking it back does when it is tried; null: nothing takes it back. */
  undo: Pick<Behaviour, 'failures' | 'last' | 'resolution'> | null;
}

export interface SimulatedPlan {
  shape: PlanShape;
  steps: SimulatedStep[];
  /** When somebody cancels; null: nobody does. */
  cancelAtMs: number | null;
}

const kinds: StepKind[] = ['transform', 'transform', 'transform', 'tool', 'tool', 'llm', 'wait', 'approval', 'signal', 'plan'];

/** A plan that the compiler could have made, and what its steps will do. */
export function randomPlan(seed: number): SimulatedPlan {
  const random = new Random(seed);
  const count = random.between(1, random.chance(0.1) ? 70 : 12);
  const failing = random.chance(0.5) ? 0 : 0.15;
  const needs = Array.from({ length: count }, (_, step) => randomNeeds(random, step));
  const chosen = Array.from({ length: count }, () => kinds[random.between(0, kinds.length - 1)] ?? 'tool');
  // A source of its own: what is random besides stays as it was.
  const undoing = new Random(seed ^ 0x2545f491);
  const steps = chosen.map((kind): SimulatedStep => ({ ...randomStep(random, kind, failing), undo: randomUndo(undoing, kind) }));
  const gates = chooseGates(random, chosen, steps, needs);
  const whenMentions = needs.map((own, step) => new Set(steps[step]?.when === false || random.chance(0.3) ? [...own].filter(() => random.chance(0.5)) : []));
  const fuse = random.chance(0.2) ? 'none' : random.chance(0.5) ? 'pure' : 'effects';
  const fusable = chosen.map((kind, step) => {
    const items = steps[step]?.items !== null;
    const rounds = steps[step]?.repeats === true;
    return { kind, fusable: fusionOf(fuse, { kind, toolEffect: kind === 'tool' ? 'idempotent' : null, items, rounds, timeoutMs: 1 }) };
  });
  const order = needs.map((_, step) => step);
  const units = divideIntoUnits(fusable, { needs, gates, whenMentions, fallbackOf: [], fallbacks: [] }, order);
  const shape: PlanShape = {
    steps: chosen.map((kind, step) => shapeOf(random, kind, step, { needs, gates, whenMentions }, steps[step] as SimulatedStep)),
    units,
    maxInFlight: random.chance(0.5) ? random.between(1, 6) : 100,
    timeoutMs: random.chance(0.05) ? random.between(1, 20_000) : null,
  };
  return { shape, steps, cancelAtMs: random.chance(0.1) ? random.between(0, 8_000) : null };
}

function randomNeeds(random: Random, step: number): Set<number> {
  const wanted = random.between(0, Math.min(step, 3));
  return new Set(Array.from({ length: wanted }, () => random.between(0, step - 1)));
}

/** An approval takes on the needs of the steps it gates, and these need it. */
function chooseGates(random: Random, chosen: StepKind[], steps: SimulatedStep[], needs: Set<number>[]): (number | undefined)[] {
  const gates: (number | undefined)[] = chosen.map(() => undefined);
  chosen.forEach((kind, gate) => {
    if (kind !== 'approval' || steps[gate]?.itemWaits !== null || random.chance(0.3)) return;
    for (let step = gate + 1; step < chosen.length && step < gate + 4; step += 1) {
      if (gates[step] !== undefined || waits(chosen[step] as StepKind) || random.chance(0.4)) continue;
      const inherited = [...(needs[step] ?? [])].filter((need) => need < gate);
      for (const need of inherited) needs[gate]?.add(need);
      needs[step] = new Set([...inherited, gate]);
      gates[step] = gate;
    }
  });
  return gates;
}

function randomUndo(random: Random, kind: StepKind): SimulatedStep['undo'] {
  if ((kind !== 'tool' && kind !== 'plan') || random.chance(0.4)) return null;
  return {
    failures: random.chance(0.3) ? random.between(1, 3) : 0,
    last: random.chance(0.15) ? 'bad' : random.chance(0.15) ? 'uncertain' : 'good',
    resolution: { answer: random.chance(0.5) ? 'happened' : 'again', afterMs: random.between(0, 2_000) },
  };
}

function randomStep(random: Random, kind: StepKind, failing: number): Omit<SimulatedStep, 'undo'> {
  const repeats = !waits(kind) && random.chance(0.2);
  const behaviour = (): Behaviour => ({
    failures: random.chance(0.2) ? random.between(1, 2) : 0,
    last: random.chance(failing) ? (kind === 'tool' && random.chance(0.2) ? 'uncertain' : 'bad') : 'good',
    rounds: repeats ? random.between(0, 6) : 0,
    resolution: { answer: random.chance(0.5) ? 'happened' : random.chance(0.5) ? 'again' : 'skip', afterMs: random.between(0, 2_000) },
  });
  const fansOut = random.chance(0.2);
  // Every decision of every item is simulated: enough of them for two windows and more.
  const size = random.chance(0.03) ? random.between(501, waits(kind) ? 620 : 1_300) : random.between(0, 12);
  return {
    when: !random.chance(0.15),
    behaviour: behaviour(),
    // Of a large list few items fail: one failure ends all.
    items:
      fansOut && !waits(kind)
        ? Array.from({ length: size }, () =>
            size > 100 && !random.chance(0.002) ? { ...behaviour(), failures: 0, rounds: 0, last: 'good' as const } : behaviour(),
          )
        : null,
    itemWaits: fansOut && waits(kind) ? Array.from({ length: size }, () => randomWait(random, kind, size > 100 ? 0.002 : 0.3)) : null,
    ...randomWait(random, kind, 0.3),
    onDenyContinue: random.chance(0.4),
    repeats,
  };
}

function randomWait(random: Random, kind: StepKind, failing: number): SimulatedWait {
  const answer = !random.chance(failing) ? 'approve' : kind !== 'signal' && (kind === 'plan' || random.chance(0.5)) ? 'deny' : 'silence';
  return {
    decision: { answer, afterMs: random.between(0, 3_000) },
    early: kind === 'signal' && answer === 'approve' && random.chance(0.3),
    openMs: kind === 'plan' ? Number.POSITIVE_INFINITY : kind === 'wait' || answer === 'silence' ? random.between(0, 2_000) : 100_000,
    looks: kind === 'wait' && random.chance(0.4) ? random.between(0, 6) : null,
    failures: kind === 'plan' && random.chance(0.2) ? random.between(1, 2) : 0,
  };
}

interface Graph {
  needs: Set<number>[];
  gates: (number | undefined)[];
  whenMentions: Set<number>[];
}

function shapeOf(random: Random, kind: StepKind, step: number, graph: Graph, simulated: SimulatedStep): StepShape {
  const gate = graph.gates[step];
  const mentions = ascending(graph.whenMentions[step]);
  const conditional = !simulated.when || mentions.length > 0;
  return {
    kind,
    needs: ascending(graph.needs[step]),
    ...(gate === undefined ? {} : { gate }),
    ...(conditional ? { when: true } : {}),
    ...(mentions.length === 0 ? {} : { whenMentions: mentions }),
    ...(random.chance(0.25) ? { tolerated: true } : {}),
    ...(simulated.items === null && simulated.itemWaits === null ? {} : { forEach: randomForEach(random, simulated) }),
    ...(simulated.repeats ? { repeat: { maxIterations: 10 } } : {}),
    ...(simulated.undo === null ? {} : { undo: { timeoutMs: 1_000 } }),
    timeoutMs: 60_000,
  };
}

function randomForEach(random: Random, { items, repeats }: SimulatedStep): NonNullable<StepShape['forEach']> {
  const concurrency = random.between(1, 20);
  return items !== null && !repeats && random.chance(0.5) ? { concurrency, quick: true } : { concurrency };
}

const ascending = (numbers: Set<number> | undefined): number[] => [...(numbers ?? [])].toSorted((one, other) => one - other);

/** What people have made of steps and items, whatever these would have come to. */
export interface HandMade {
  ofStep: (step: number) => 's' | 'k' | null;
  ofItem: (step: number, item: number) => 's' | 'k' | null;
}

const nothingByHand: HandMade = { ofStep: () => null, ofItem: () => null };

/** What every step comes to when nothing ends the run early, by the words of the specification and not by those of the engine. Null: it never runs. */
export function expectedOutcomes(plan: SimulatedPlan, byHand: HandMade = nothingByHand): (Outcome | null)[] {
  const outcomes: (Outcome | null)[] = [];
  plan.shape.steps.forEach((shape, step) => {
    const simulated = plan.steps[step] as SimulatedStep;
    const handMade = byHand.ofStep(step);
    if (handMade !== null) {
      outcomes.push(handMade);
      return;
    }
    const ofNeeds = shape.needs.map((need) => outcomes[need] ?? null);
    if (ofNeeds.some((outcome) => outcome === null || outcome === 'f' || outcome === 'u')) outcomes.push(null);
    else if (isSkippedByNeed(shape, (need) => outcomes[need] ?? null)) outcomes.push('k');
    else if (!simulated.when || isWithheld(plan, shape, (need) => outcomes[need] ?? null)) outcomes.push('k');
    else outcomes.push(ownOutcome(shape, simulated, (item) => byHand.ofItem(step, item)));
  });
  return outcomes;
}

/** A skipped need takes its step with it. */
export const isSkippedByNeed = (shape: StepShape, outcomeOf: (need: number) => Outcome | null): boolean =>
  shape.needs.some((need) => outcomeOf(need) === 'k' && need !== shape.gate && shape.whenMentions?.includes(need) !== true);

/** Its approval was denied, or was not asked for since a step that the approval needs was skipped. Skipped by its own `when`, an approval withholds nothing. */
function isWithheld({ shape: { steps }, steps: simulated }: SimulatedPlan, { gate }: StepShape, outcomeOf: (need: number) => Outcome | null): boolean {
  if (gate === undefined) return false;
  if (outcomeOf(gate) !== 'k') return simulated[gate]?.decision.answer !== 'approve';
  const approval = steps[gate];
  return approval !== undefined && isSkippedByNeed(approval, outcomeOf);
}

function ownOutcome(shape: StepShape, simulated: SimulatedStep, ofItem: (item: number) => 's' | 'k' | null): Outcome {
  const failed: Outcome = shape.tolerated === true ? 't' : 'f';
  const waitEnds = (wait: SimulatedWait): Outcome => outcomeOfWait(shape.kind, wait, simulated.onDenyContinue, failed);
  if (waits(shape.kind) && simulated.itemWaits === null) return waitEnds(simulated);
  if (simulated.items === null && simulated.itemWaits === null) return outcomeOfBehaviour(simulated.behaviour, failed);
  const items = simulated.itemWaits?.map(waitEnds) ?? simulated.items?.map((item) => outcomeOfBehaviour(item, failed)) ?? [];
  return items.some((outcome, item) => (ofItem(item) ?? outcome) === 'f') ? 'f' : 's';
}

const outcomeOfWait = (kind: StepKind, wait: SimulatedWait, onDenyContinue: boolean, failed: Outcome): Outcome =>
  kind === 'wait' || wait.decision.answer === 'approve' || (onDenyContinue && kind !== 'plan') ? 's' : failed;

/** What it comes to in the end, when people have said what they had to. */
const outcomeOfBehaviour = ({ last, resolution }: Behaviour, failed: Outcome): Outcome =>
  last === 'bad' ? failed : last === 'uncertain' && resolution.answer === 'skip' ? 'k' : 's';
