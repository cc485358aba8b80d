import { z } from 'zod';

export const eventChannel = 'kos_events';

/** What one batch of the sequencer tells: how far the numbering is, and which runs and workspaces it touched. Only ids: whoever may LISTEN hears it. */
export interface EventNotice {
  lastSeq: number;
  /** Null: too many to name. */
  runIds: string[] | null;
  workspaceIds: string[] | null;
}

const noticeSchema = z.object({ lastSeq: z.number(), runIds: z.array(z.string()).nullable(), workspaceIds: z.array(z.string()).nullable().default(null) });

/** Postgres takes notices below 8,000 bytes; an id is 40 characters. */
const mostRunIds = 150;
const mostWorkspaceIds = 20;

export const formatNotice = (lastSeq: number, runIds: ReadonlySet<string>, workspaceIds: ReadonlySet<string>): string =>
  JSON.stringify({ lastSeq, runIds: upTo(mostRunIds, runIds), workspaceIds: upTo(mostWorkspaceIds, workspaceIds) } satisfies EventNotice);

const upTo = (most: number, ids: ReadonlySet<string>): string[] | null => (ids.size > most ? null : [...ids]);

/** Null for anything that is no notice: any program signed in to the database can send on the channel. */
export function parseNotice(text: string): EventNotice | null {
  try {
    const parsed = noticeSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
