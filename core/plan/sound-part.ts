import type { Json, JsonObject } from '#schemas/json.ts';
import type { DocumentFault } from './schema-faults.ts';
import { pointerKeys } from './source.ts';

/** What of a plan can be looked at further, although something in its form is wrong. */
export interface SoundPart {
  document: JsonObject;
  /** Where stand-ins are: what is found there is no fault of the author's. */
  standIns: string[];
}

/** Of a step with a fault in its form nothing is known: a tool of no known name may be needed, gated and read by all others, and gives anything. */
const standInStep: JsonObject = { tool: 'unknown' };
/** The input's schema, when it is faulty itself, allows all: also when it is hidden under a misspelt key. */
const standInHeader: JsonObject = { plan: 'unknown', input: { type: 'object' } };

/** Puts stand-ins in the place of what has faults, so that one misspelt number does not hide all other faults. Null: too little is left. */
export function soundPart(document: JsonObject, faults: readonly DocumentFault[]): SoundPart | null {
  const steps = document['steps'];
  if (typeof steps !== 'object' || steps === null || Array.isArray(steps)) return null;
  const sound: JsonObject = { ...document };
  const soundSteps: JsonObject = { ...steps };
  const standIns = new Set<string>();
  for (const { pointer } of faults) {
    const [key, id] = pointerKeys(pointer);
    if (key === undefined || (key === 'steps' && (id === undefined || !Object.hasOwn(steps, id)))) return null;
    standIns.add(key === 'steps' ? `/steps/${id}` : `/${key}`);
    if (key === 'steps') soundSteps[id as string] = standInStep;
    else replace(sound, key, standInHeader[key]);
  }
  if (!Object.hasOwn(sound, 'input') && [...standIns].some((standIn) => !standIn.startsWith('/steps/'))) sound['input'] = { type: 'object' };
  return { document: { ...sound, steps: soundSteps }, standIns: [...standIns] };
}

function replace(object: JsonObject, key: string, value: Json | undefined): void {
  if (value === undefined) delete object[key];
  else object[key] = value;
}

export const isAtStandIn = (pointer: string, standIns: readonly string[]): boolean =>
  standIns.some((standIn) => pointer === standIn || pointer.startsWith(`${standIn}/`));
