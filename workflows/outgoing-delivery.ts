import { proxyActivities, sleep } from '@temporalio/workflow';
import type { createOutgoingActivities, DeliveryPlace } from '#activities/outgoing/outgoing-activities.ts';
import { bookkeepingOptions } from './activity-options.ts';
import { trusted } from './run-commands.ts';

const { attemptDelivery } = proxyActivities<ReturnType<typeof createOutgoingActivities>>(bookkeepingOptions());

/** Tries to deliver until it is delivered or given up. How long to rest in between, and when it is over, the activity says: its row holds every try. */
export async function outgoingDelivery(place: DeliveryPlace): Promise<void> {
  for (let refusals = 0; ; ) {
    const next = await trusted(attemptDelivery({ place, refusals }), 'attemptDelivery');
    if (next.is === 'over') return;
    refusals = next.is === 'noRoom' ? refusals + 1 : 0;
    await sleep(next.inMs);
  }
}
