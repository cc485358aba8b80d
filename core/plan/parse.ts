import type { FaultDetail } from '#core/errors.ts';
import type { Plan } from '#schemas/plan.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { firstUnkeepableText } from './characters.ts';
import { readDocument } from './document.ts';
import type { DocumentFault } from './schema-faults.ts';
import { type Locator, readText } from './source.ts';

/** A plan whose form is right. Names, types and order are checked by `compilePlan`. */
export interface ParsedPlan {
  plan: Plan;
  /** The plan as plain JSON, exactly as written. */
  document: JsonObject;
  /** Positions in the text it came from; without a text there are none. */
  locate: Locator | undefined;
}

export type ParseResult = { ok: true; parsed: ParsedPlan } | { ok: false; faults: FaultDetail[] };

/** Reads a plan's text. Executes nothing; every fault carries line, column and pointer. */
export function parsePlan(text: string, format: 'yaml' | 'json' = 'yaml'): ParseResult {
  const read = readText(text, format);
  if (!read.ok) return read;
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
    return { ok: false, faults: [withPosition({ pointer: unkeepable, message, part: 'value' }, locate)] };
  }
  const read = readDocument(document);
  if (!read.ok) return { ok: false, faults: read.faults.map((fault) => withPosition(fault, locate)) };
  return { ok: true, parsed: { plan: read.plan, document: read.document, locate } };
}

function withPosition({ part, ...fault }: DocumentFault, locate: Locator | undefined): FaultDetail {
  return { ...fault, ...locate?.(fault.pointer, part) };
}
