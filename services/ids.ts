import { v7 } from 'uuid';
import { type IdKind, idPrefixes } from '#schemas/ids.ts';

/** A fresh id of one kind, e.g. `run_019…`. UUIDv7 (RFC 9562 §5.7): sorts by creation time. */
export const newId = (kind: IdKind): string => `${idPrefixes[kind]}_${v7()}`;
