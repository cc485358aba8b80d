import type { FaultDetail } from '#core/errors.ts';
import type { Plan } from '#schemas/plan.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { firstUnkeepableText } from './characters.ts';
import { readDocument } from './document.ts';
import { inTextOrder } from './fault-list.ts';
import type { DocumentFault } from './schema-faults.ts';
import { soundPart } from './sound-part.ts';
import { type Locator, readText } from './source.ts';

/** A plan whose form is right. Names, types and order are checked by `compilePlan`. */
export interface ParsedPlan {
  plan: Plan;
  /** The plan as plain JSON, exactly as written. */
  document: JsonObject;
  /** Positions in the text it came from; without a text there are none. */
  locate: Locator | undefined;
}

/** `sound`: a plan of what has no faults of form, for those who look for other faults, too. */
export type ParseResult = { ok: true; parsed: ParsedPlan } | { ok: false; faults: FaultDetail[]; sound: { parsed: ParsedPlan; standIns: string[] } | null };

/** Reads a plan's text. Executes nothing; every fault carries line, column and pointer. */
export function parsePlan(text: string, format: 'yaml' | 'json' = 'yaml'): ParseResult {
  const read = readText(text, format);
  if (!read.ok) return { ...read, sound: null };
  return parseDocument(read.document, read.locate);
}

/** Takes a plan that is JSON already, for example from a request's body or the database. */
export function parsePlanDocument(document: Json): ParseResult {
  return parseDocument(document, undefined);
}

function parseDocument(document: Json, locate: Locator | undefined): ParseResult {
  const unkeepable = firstUnkeepableText(document);
  if (unkeepable !== null) {
    const message = 'this text holds a NUL character or half of a surrogate pair, which cannot be kept';
    return { ok: false, faults: [withPosition({ pointer: unkeepable, message, part: 'value' }, locate)], sound: null };
  }
  const read = readDocument(document);
  if (!read.ok) {
    const faults = inTextOrder(read.faults.map((fault) => withPosition(fault, locate)));
    return { ok: false, faults, sound: readSoundPart(document, read.faults, locate) };
  }
  return { ok: true, parsed: { plan: read.plan, document: read.document, locate } };
}

function readSoundPart(document: Json, faults: readonly DocumentFault[], locate: Locator | undefined): { parsed: ParsedPlan; standIns: string[] } | null {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return null;
  const part = soundPart(document, faults);
  const read = part === null ? null : readDocument(part.document);
  if (part === null || read?.ok !== true) return null;
  return { parsed: { plan: read.plan, document: read.document, locate }, standIns: part.standIns };
}

function withPosition({ part, ...fault }: DocumentFault, locate: Locator | undefined): FaultDetail {
  return { ...fault, ...locate?.(fault.pointer, part) };
}
