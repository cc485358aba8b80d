export { forEachWindow } from './for-each-window.ts';
export { planRun } from './plan-run.ts';
export { scheduledRun } from './scheduled-run.ts';
