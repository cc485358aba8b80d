import { type EventType, eventTypes } from '#schemas/event.ts';
import type { EventSelector } from '#schemas/webhook.ts';

/** The types that selectors stand for, each once. */
export function selectedTypes(selectors: readonly EventSelector[]): EventType[] {
  const matches = (type: EventType, selector: EventSelector): boolean =>
    selector === type || selector === '*' || (selector.endsWith('.*') && type.startsWith(selector.slice(0, -1)));
  return eventTypes.filter((type) => selectors.some((selector) => matches(type, selector)));
}
