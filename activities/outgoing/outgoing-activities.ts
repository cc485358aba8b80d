import { attempt, type AttemptMeans, type DeliveryPlace, type Next } from '#services/outgoing/attempt.ts';
import type { Vitality } from '../run/dependencies.ts';
import { persistently } from '../run/persistently.ts';

export interface OutgoingActivityDependencies extends AttemptMeans {
  alive<Result>(work: (vitality: Vitality) => Promise<Result>): Promise<Result>;
}

export type { DeliveryPlace };

export function createOutgoingActivities(dependencies: OutgoingActivityDependencies) {
  return {
    /** Repeated when it is lost: receivers know equal deliveries by their `webhook-id`. `refusals`: how often in a row there was no room for it. */
    async attemptDelivery({ place, refusals }: { place: DeliveryPlace; refusals: number }): Promise<Next> {
      return await dependencies.alive(({ signal }) => attempt(dependencies, place, refusals, { signal, lasting: (work) => persistently(signal, work) }));
    },
  };
}
