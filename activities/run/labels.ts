import type { JsonObject } from '#schemas/json.ts';

/** What a reader must know of how an output came to be, from its step's metadata: it stands wherever the step's end is told, in events and in the audit log. */
export const labelsOf = ({ labels }: JsonObject): JsonObject => (Array.isArray(labels) && labels.length > 0 ? { labels } : {});
