export { forEachWindow } from './for-each-window.ts';
export { outgoingDelivery } from './outgoing-delivery.ts';
export { planRun } from './plan-run.ts';
export { scheduledRun } from './scheduled-run.ts';
