import { proxyActivities, workflowInfo } from '@temporalio/workflow';

/** What somebody would write by hand for the same work: the floor of every ratio. */
interface Activities {
  noop<Value>(value: Value): Promise<Value>;
}

const { noop } = proxyActivities<Activities>({ startToCloseTimeout: '1 minute' });

/** `count` no-op activities in a row, each given what the one before gave. */
export async function linear(count: number, payload: string): Promise<string> {
  let result = payload;
  for (let step = 0; step < count; step += 1) result = await noop(result);
  return result;
}

/** `count` no-op activities at once. */
export async function fanOut(count: number, payload: string): Promise<number> {
  const results = await Promise.all(Array.from({ length: count }, () => noop(payload)));
  return results.length;
}

const beating = proxyActivities<Activities>({
  startToCloseTimeout: '90 s',
  heartbeatTimeout: '2 s',
  retry: { initialInterval: '200 ms', maximumInterval: '5 s' },
});

/** As `linear`, each activity with the options of the product's: a heartbeat time-out, by which a lost worker is noticed. */
export async function linearWithHeartbeat(count: number, payload: string): Promise<string> {
  let result = payload;
  for (let step = 0; step < count; step += 1) result = await beating.noop(result);
  return result;
}

/** Rounds of `items` activities at once until the history has so many events; each is given what the product's are: numbers of a step and an item. */
export async function rounds(events: number, items: number): Promise<void> {
  while (workflowInfo().historyLength < events) await Promise.all(Array.from({ length: items }, (_, item) => beating.noop({ step: 0, item })));
}
