import type { Json, JsonObject } from '#schemas/json.ts';

/**
 * The rules of `documentation/plans/language.md` on needs, units and bounds, written once more, as simply as they can be said and without a line of the
 * compiler: on the plan's document alone, by ids, and slowly.
 */
export interface NaiveStep {
  id: string;
  kind: string;
  needs: Set<string>;
  /** The approval whose `for` names it. */
  gate: string | null;
  whenMentions: Set<string>;
  fallbackOf: string | null;
  /** Needs that stand in for another need. */
  fallbacks: Set<string>;
  /** Needs whose skip does not skip it. */
  harmless: Set<string>;
  tolerated: boolean;
  timeoutMs: number;
  undoTimeoutMs: number | null;
  concurrency: number | null;
  contained: boolean;
  maxIterations: number | null;
  maxAttempts: number;
}

export interface NaivePlan {
  steps: Map<string, NaiveStep>;
  /** Where the faults are, as pointers, besides a cycle. */
  faults: Set<string>;
  hasCycle: boolean;
}

type Effect = 'pure' | 'idempotent' | 'effectful';
export interface NaiveTool {
  name: string;
  effect: Effect;
  quick?: boolean;
}

interface Written {
  id: string;
  step: JsonObject;
  kind: string;
}

const kinds = ['transform', 'tool', 'llm', 'artifact', 'wait', 'approval', 'signal', 'plan'];
const working = ['transform', 'tool', 'llm', 'artifact'];

const objectAt = (value: Json | undefined): JsonObject => (typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {});
const listAt = (value: Json | undefined): string[] => (Array.isArray(value) ? (value as string[]) : []);

export function naiveCompile(document: JsonObject, tools: readonly NaiveTool[]): NaivePlan {
  const written = Object.entries(objectAt(document['steps'])).map(([id, step]): Written => {
    const own = objectAt(step);
    return { id, step: own, kind: kinds.find((kind) => kind in own) ?? '' };
  });
  const steps = new Map(written.map((one) => [one.id, naiveStep(one, objectAt(document['defaults']))]));
  const faults = new Set<string>([...placesOfUnknown(document, written), ...ownFaults(written, tools)]);
  for (const { id, step } of written)
    for (const need of [...mentionedBy(step), ...listAt(step['needs'])]) if (steps.has(need) && need !== id) needsOf(steps, id).add(need);
  addFallbacks(written, steps, faults);
  addApprovals(written, steps, faults);
  return { steps, faults, hasCycle: [...steps.keys()].some((id) => reaches(steps, id, id)) };
}

const needsOf = (steps: Map<string, NaiveStep>, id: string): Set<string> => steps.get(id)?.needs ?? new Set();

function naiveStep({ id, step, kind }: Written, defaults: JsonObject): NaiveStep {
  const onError = step['onError'] ?? defaults['onError'] ?? 'fail';
  const itemsMayAllFail = step['onItemError'] === undefined ? onError === 'continue' : step['onItemError'] === 'continue';
  const timeoutMs = (step['timeoutMs'] ?? defaults['timeoutMs'] ?? 60_000) as number;
  const undo = objectAt(step['undo']);
  const maxAttempts = objectAt(step['retry'])['maxAttempts'] ?? (kind === 'plan' ? 1 : (objectAt(defaults['retry'])['maxAttempts'] ?? 3));
  return {
    id,
    kind,
    needs: new Set(),
    gate: null,
    whenMentions: new Set(mentionsIn(step['when']).filter((other) => other !== id)),
    fallbackOf: null,
    fallbacks: new Set(),
    harmless: new Set(),
    tolerated: onError !== 'fail',
    timeoutMs,
    undoTimeoutMs: 'undo' in step ? ((undo['timeoutMs'] ?? timeoutMs) as number) : null,
    concurrency: 'forEach' in step ? ((step['concurrency'] ?? defaults['concurrency'] ?? 20) as number) : null,
    contained: 'forEach' in step && onError !== 'fail' && !itemsMayAllFail,
    maxIterations: 'repeat' in step ? (objectAt(step['repeat'])['maxIterations'] as number) : null,
    maxAttempts: maxAttempts as number,
  };
}

/** Every text of a value that may hold expressions, with its pointer. */
function textsIn(value: Json | undefined, pointer: string): { pointer: string; text: string }[] {
  if (typeof value === 'string') return [{ pointer, text: value }];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => textsIn(member, `${pointer}/${key}`));
}

/** `steps.ID` and `steps["ID"]` inside of `${…}` and outside of quotes. */
function mentionsIn(value: Json | undefined): string[] {
  return textsIn(value, '').flatMap(({ text }) =>
    [...text.replaceAll('$${', '').matchAll(/\$\{([^}]*)\}/g)].flatMap(([, source = '']) =>
      [
        ...source
          .replaceAll(/\["(\w+)"\]/g, '.$1')
          .replaceAll(/"[^"]*"/g, '')
          .matchAll(/steps\.(\w+)/g),
      ].map(([, id = '']) => id),
    ),
  );
}

/** The parts of a step that are evaluated before or while it works, with their pointers in the step. */
function parts(step: JsonObject): { pointer: string; value: Json | undefined }[] {
  const wait = objectAt(step['wait']);
  const form = (key: string, name: string): { pointer: string; value: Json | undefined } => ({ pointer: `/${key}/${name}`, value: objectAt(step[key])[name] });
  return [
    { pointer: '/when', value: step['when'] },
    { pointer: '/forEach', value: step['forEach'] },
    { pointer: '/transform', value: step['transform'] },
    { pointer: '/with', value: step['with'] },
    form('llm', 'with'),
    form('llm', 'model'),
    form('artifact', 'name'),
    form('artifact', 'content'),
    form('wait', 'forMs'),
    form('wait', 'until'),
    { pointer: '/wait/check/with', value: objectAt(wait['check'])['with'] },
    form('signal', 'name'),
    form('approval', 'message'),
    form('repeat', 'until'),
    form('repeat', 'while'),
    { pointer: '/onError/value', value: objectAt(step['onError'])['value'] },
  ];
}

const mentionedBy = (step: JsonObject): string[] => parts(step).flatMap(({ value }) => mentionsIn(value));

function placesOfUnknown(document: JsonObject, written: readonly Written[]): string[] {
  const ids = new Set(written.map(({ id }) => id));
  const unknownIn = (value: Json | undefined, base: string): string[] =>
    textsIn(value, base).flatMap(({ pointer, text }) => (mentionsIn(text).some((id) => !ids.has(id)) ? [pointer] : []));
  return [
    ...unknownIn(document['output'], '/output'),
    ...written.flatMap(({ id, step }) => {
      const base = `/steps/${id}`;
      const needs = listAt(step['needs']).flatMap((need, index) => (ids.has(need) && need !== id ? [] : [`${base}/needs/${index}`]));
      const undone = unknownIn(objectAt(step['undo'])['with'], `${base}/undo/with`);
      return [...needs, ...undone, ...parts(step).flatMap(({ pointer, value }) => unknownIn(value, `${base}${pointer}`)), ...readsItself(id, step)];
    }),
  ];
}

/** Told of the whole part, not of the text in it. */
function readsItself(id: string, step: JsonObject): string[] {
  const inputs = ['/transform', '/with', '/llm', '/artifact', '/signal', '/approval', '/wait/check/with', '/wait'];
  return parts(step)
    .filter(({ value }) => mentionsIn(value).includes(id))
    .map(
      ({ pointer }) =>
        `/steps/${id}${pointer === '/wait/until' ? pointer : (inputs.find((input) => pointer === input || pointer.startsWith(`${input}/`)) ?? pointer)}`,
    );
}

/** What is wrong with a step whatever the others are. */
function ownFaults(written: readonly Written[], tools: readonly NaiveTool[]): string[] {
  const effectOf = (name: Json | undefined): Effect | undefined => tools.find((tool) => tool.name === name)?.effect;
  return written.flatMap(({ id, step }) => {
    const at = (wrong: boolean, pointer: string): string[] => (wrong ? [`/steps/${id}${pointer}`] : []);
    const approval = objectAt(step['approval']);
    const check = objectAt(objectAt(step['wait'])['check']);
    const undo = objectAt(step['undo']);
    const models = ['fast'];
    return [
      ...at('tool' in step && effectOf(step['tool']) === undefined, '/tool'),
      ...at('tool' in check && effectOf(check['tool']) !== 'pure' && effectOf(check['tool']) !== 'idempotent', '/wait/check/tool'),
      ...at('llm' in step && !models.includes(objectAt(step['llm'])['model'] as string), '/llm/model'),
      ...at('cache' in step && effectOf(step['tool']) === 'effectful', '/cache'),
      ...at('undo' in step && effectOf(undo['tool']) !== 'idempotent' && effectOf(undo['tool']) !== 'effectful', '/undo/tool'),
      ...at('undo' in step && (effectOf(step['tool']) === 'pure' || 'cache' in step), '/undo'),
      ...at('approval' in step && !('for' in approval) && !('message' in approval), '/approval'),
    ];
  });
}

/** The fallback needs what it stands in for; whoever needs that needs the fallback as well, and the fallback of the fallback. */
function addFallbacks(written: readonly Written[], steps: Map<string, NaiveStep>, faults: Set<string>): void {
  const pairs: [failing: string, standIn: string][] = [];
  for (const { id, step } of written) {
    const standIn = objectAt(step['onError'])['step'];
    if (typeof standIn !== 'string') continue;
    const target = written.find((other) => other.id === standIn);
    const fine =
      target !== undefined &&
      standIn !== id &&
      !pairs.some(([, other]) => other === standIn) &&
      [...working, 'plan'].includes(target.kind) &&
      !('forEach' in target.step);
    if (fine) pairs.push([id, standIn]);
    else faults.add(`/steps/${id}/onError/step`);
  }
  for (const [failing, standIn] of pairs) {
    const own = steps.get(standIn);
    if (own !== undefined) own.fallbackOf = failing;
    own?.needs.add(failing);
  }
  for (let grown = true; grown; ) {
    grown = false;
    for (const [failing, standIn] of pairs) {
      for (const { id, needs, fallbacks } of steps.values()) {
        if (id === standIn || !needs.has(failing) || fallbacks.has(standIn)) continue;
        needs.add(standIn);
        fallbacks.add(standIn);
        grown = true;
      }
    }
  }
}

/** Of the steps that an approval names, those it can stand before. */
function coveredBy({ id, step }: Written, written: readonly Written[], steps: Map<string, NaiveStep>, faults: Set<string>): string[] {
  const named = listAt(objectAt(step['approval'])['for']);
  const pointer = `/steps/${id}/approval/for`;
  if (named.length > 0 && 'forEach' in step) {
    faults.add(pointer);
    return [];
  }
  return named.filter((other, index) => {
    const target = written.find((one) => one.id === other);
    const fine =
      target !== undefined &&
      working.includes(target.kind) &&
      !('forEach' in target.step) &&
      !('repeat' in target.step) &&
      steps.get(other)?.gate === null &&
      named.indexOf(other) === index;
    if (!fine) faults.add(`${pointer}/${index}`);
    return fine;
  });
}

/** The covered steps need the approval, and it needs what they need of others. */
function addApprovals(written: readonly Written[], steps: Map<string, NaiveStep>, faults: Set<string>): void {
  const before = new Map([...steps].map(([id, { needs }]) => [id, new Set(needs)]));
  for (const step of steps.values()) step.harmless = new Set([...step.whenMentions, ...step.fallbacks].filter((need) => step.needs.has(need)));
  for (const approval of written.filter(({ kind }) => kind === 'approval')) {
    const covered = coveredBy(approval, written, steps, faults);
    const own = steps.get(approval.id);
    for (const id of covered) {
      const step = steps.get(id);
      if (step === undefined || own === undefined) continue;
      step.gate = approval.id;
      step.needs.add(approval.id);
      for (const need of before.get(id) ?? []) if (need !== approval.id && !covered.includes(need)) own.needs.add(need);
      if (step.fallbackOf !== null) faults.add(`/steps/${id}`);
      const { pointer, reads } = inputReads(written.find((one) => one.id === id));
      if (reads.some((read) => read !== id && (read === approval.id || covered.includes(read)))) faults.add(`/steps/${id}${pointer}`);
    }
    const inherited = [...(own?.needs ?? [])].filter((need) => before.get(approval.id)?.has(need) !== true);
    for (const need of inherited) {
      const needing = covered.filter((id) => before.get(id)?.has(need) === true);
      if (needing.every((id) => steps.get(id)?.harmless.has(need) === true)) own?.harmless.add(need);
    }
  }
}

function inputReads(written: Written | undefined): { pointer: string; reads: string[] } {
  const { step, kind }: Omit<Written, 'id'> = written ?? { step: {}, kind: '' };
  const key = kind === 'tool' ? 'with' : kind;
  const value = kind === 'llm' ? { model: objectAt(step['llm'])['model'] ?? null, with: objectAt(step['llm'])['with'] ?? null } : step[key];
  return { pointer: `/${key}`, reads: mentionsIn(value) };
}

/** Whether following needs leads from one step to the other. */
function reaches(steps: Map<string, NaiveStep>, from: string, to: string, seen = new Set<string>()): boolean {
  for (const need of needsOf(steps, from)) {
    if (need === to) return true;
    if (seen.has(need)) continue;
    seen.add(need);
    if (reaches(steps, need, to, seen)) return true;
  }
  return false;
}

/** Whether the step may be a member of a chain of several, by the page on `fuse`. */
export function mayFuse(document: JsonObject, step: NaiveStep, tools: readonly NaiveTool[]): boolean {
  const fuse = document['fuse'] ?? 'pure';
  const effect = effectOfStep(document, step, tools);
  if (fuse === 'none' || step.concurrency !== null || step.maxIterations !== null || step.gate !== null || step.fallbackOf !== null) return false;
  if (effect === 'pure') return true;
  return fuse === 'effects' && effect === 'idempotent' && step.timeoutMs <= 60_000;
}

/** Whether its work may be waited for in the workflow's own task. */
export function mayBeQuick(document: JsonObject, step: NaiveStep, tools: readonly NaiveTool[]): boolean {
  const fuse = document['fuse'] ?? 'pure';
  if (fuse === 'none' || step.concurrency !== null || step.maxIterations !== null) return false;
  if (step.kind === 'transform') return true;
  const tool = tools.find(({ name }) => name === objectAt(objectAt(document['steps'])[step.id])['tool']);
  return tool?.quick === true && (tool.effect === 'pure' || (fuse === 'effects' && tool.effect === 'idempotent'));
}

/** Null: it waits, or runs something else. */
function effectOfStep(document: JsonObject, { id, kind }: NaiveStep, tools: readonly NaiveTool[]): Effect | null {
  if (kind === 'transform') return 'pure';
  if (kind === 'llm' || kind === 'artifact') return 'idempotent';
  return tools.find(({ name }) => name === objectAt(objectAt(document['steps'])[id])['tool'])?.effect ?? null;
}
