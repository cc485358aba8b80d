import { z } from 'zod';

export const eventChannel = 'kos_events';

/** What one batch of the sequencer tells: how far the numbering is, and which runs it touched. Only ids: whoever may LISTEN hears it. */
export interface EventNotice {
  lastSeq: number;
  /** Null: too many to name. */
  runIds: string[] | null;
}

const noticeSchema = z.object({ lastSeq: z.number(), runIds: z.array(z.string()).nullable() });

/** Postgres takes notices below 8,000 bytes; a run id is 40 characters. */
const mostRunIds = 150;

export const formatNotice = (lastSeq: number, runIds: ReadonlySet<string>): string =>
  JSON.stringify({ lastSeq, runIds: runIds.size > mostRunIds ? null : [...runIds] } satisfies EventNotice);

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
