import { randomUUID } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import type { MadeTrigger } from '#schemas/trigger.ts';
import type { Api } from '../rig/api.ts';
import type { HttpRequest } from '../rig/caller.ts';
import { openLoop } from '../rig/open-loop.ts';
import { payload } from '../rig/plans.ts';
import { quantile } from '../rig/statistics.ts';
import { type ApiFigure, inMs, inP95, perSecond } from './figure.ts';

const reachMs = 40;
/** Each may be called 600 times a minute. */
const triggers = 10;

export const trigger: ApiFigure = {
  name: 'trigger',
  bound: 'As for a start; besides, the trigger is looked up, its secret opened, the delivery sealed and kept, and its creator’s rights are looked at.',
  async measureApi({ api, quick }) {
    const made: MadeTrigger[] = [];
    for (let index = 0; index < triggers; index += 1) made.push(await makeTrigger(api, `bench-${index}`));
    const loop = { perSecond, send: (index: number) => api.send(signedDelivery(made[index % triggers] as MadeTrigger)) };
    await openLoop({ ...loop, seconds: 3 });
    await api.atRest();
    const spans = await openLoop({ ...loop, seconds: quick ? 5 : 30 });
    await api.atRest();
    const p95 = quantile(spans, 0.95);
    return {
      lines: [
        {
          what: `signed delivery (Standard Webhooks, 1 kB) to accepted run, ${perSecond} deliveries/s to ${triggers} triggers in an open loop, the runs done meanwhile, p95`,
          ours: inP95(spans),
          floor: '–',
          reach: `≤ ${inMs(reachMs)}`,
          met: p95 <= reachMs,
        },
      ],
      details: { spans },
    };
  },
};

const makeTrigger = (api: Api, name: string): Promise<MadeTrigger> =>
  api.ask({
    method: 'POST',
    path: '/v1/triggers',
    body: JSON.stringify({ name, plan: api.plan, scheme: 'standard', filter: 'body.type == "order.paid"', input: { payload: '${body.payload}' } }),
  });

function signedDelivery({ id, secret }: MadeTrigger): HttpRequest {
  const body = JSON.stringify({ type: 'order.paid', payload });
  const [delivery, at] = [`msg_${randomUUID()}`, new Date()];
  return {
    method: 'POST',
    path: `/hooks/${id}`,
    headers: {
      'webhook-id': delivery,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
      'webhook-signature': new Webhook(secret ?? '').sign(delivery, at, body),
    },
    body,
  };
}
