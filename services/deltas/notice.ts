import { z } from 'zod';

export const deltaChannel = 'kos_deltas';

/** Which runs have new text of a model call. Only ids: whoever may LISTEN hears it, and the text is for those who may read the run. */
export interface DeltaNotice {
  workspaceId: string;
  /** Null: too many to name. */
  runIds: string[] | null;
}

const noticeSchema = z.object({ workspaceId: z.string(), runIds: z.array(z.string()).nullable() });

/** Postgres takes notices below 8,000 bytes; an id is 40 characters. */
const mostRunIds = 150;

export const formatDeltaNotice = (workspaceId: string, runIds: ReadonlySet<string>): string =>
  JSON.stringify({ workspaceId, runIds: runIds.size > mostRunIds ? null : [...runIds] } satisfies DeltaNotice);

/** Null for anything that is no notice: any program signed in to the database can send on the channel. */
export function parseDeltaNotice(text: string): DeltaNotice | null {
  try {
    const parsed = noticeSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
