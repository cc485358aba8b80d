export * from './columns.ts';
export * from './installation.ts';
export * from './plans.ts';
export * from './records.ts';
export * from './runs.ts';
export * from './waits.ts';
