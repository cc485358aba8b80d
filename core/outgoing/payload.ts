import type { EventType } from '#schemas/event.ts';
import type { JsonObject } from '#schemas/json.ts';

/** An event as the table of events has it. */
export interface ToldEvent {
  id: string;
  type: EventType;
  workspaceId: string;
  runId: string | null;
  /** ISO 8601. */
  at: string;
  data: JsonObject;
}

/** The body of a webhook: `type`, `timestamp` and `data` as Standard Webhooks have them, and what the event is known by. `url`: where its run is read. */
export function webhookBody({ id, type, workspaceId, runId, at, data }: ToldEvent, publicUrl: string): string {
  return JSON.stringify({ type, timestamp: at, id, workspaceId, runId, url: runId === null ? null : `${publicUrl}/v1/runs/${runId}`, data });
}
