import canonicalize from 'canonicalize';
import type { JsonObject } from '#schemas/json.ts';
import { hashLeaf, type Hash } from './merkle.ts';

/** One record of the log, as it is hashed. `leafIndex` is no part of it: the tree says where it stands. */
export interface AuditEntry {
  id: string;
  workspaceId: string;
  /** RFC 3339 in UTC with milliseconds, e.g. `2026-01-31T12:00:00.000Z`, exactly as stored. */
  at: string;
  actor: string;
  action: string;
  subject: string;
  data: JsonObject;
}

/** Part of what is hashed, so that a later encoding can never be taken for this one. */
const encodingVersion = 1;

/** RFC 8785 in UTF-8: whoever has the entry computes the same bytes in any language. */
export function encodeAuditEntry(entry: AuditEntry): Uint8Array {
  const { id, workspaceId, at, actor, action, subject, data } = entry;
  const text = canonicalize({ v: encodingVersion, id, workspaceId, at, actor, action, subject, data });
  if (text === undefined) throw new TypeError(`The audit entry ${id} is no JSON object.`);
  return Buffer.from(text, 'utf8');
}

export const hashAuditEntry = (entry: AuditEntry): Hash => hashLeaf(encodeAuditEntry(entry));
