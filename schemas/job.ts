import { z } from 'zod';
import { idSchema } from './ids.ts';
import { runStatuses } from './run.ts';

/** One action on many runs. */
export const bulkVerbs = ['cancel', 'terminate', 'pause', 'resume', 'retry', 'priority'] as const;
export type BulkVerb = (typeof bulkVerbs)[number];

export const bulkActionSchema = z.object({
  verb: z.enum(bulkVerbs),
  reason: z.string().nullable(),
  /** Of `priority` only. */
  priority: z.int().min(1).max(5).nullable(),
  /** Of `cancel` only. False: what the steps did stays. Absent: it is undone where the plan says how. */
  undo: z.boolean().optional(),
});
export type BulkAction = z.infer<typeof bulkActionSchema>;

/** `planned`: looked at, not begun. `aborted`: what was not done yet stays undone. */
export const jobStatuses = ['planned', 'running', 'done', 'aborted'] as const;
export type JobStatus = (typeof jobStatuses)[number];

/** `refused`: the run's state did not allow it. */
export const jobItemStatuses = ['pending', 'done', 'refused'] as const;
export type JobItemStatus = (typeof jobItemStatuses)[number];

export const jobItemSchema = z.object({
  runId: idSchema('run'),
  status: z.enum(jobItemStatuses),
  code: z.string().nullable(),
  message: z.string().nullable(),
  at: z.string().nullable(),
});
export type JobItem = z.infer<typeof jobItemSchema>;

export const jobSchema = z.object({
  id: idSchema('job'),
  action: bulkActionSchema,
  status: z.enum(jobStatuses),
  total: z.int(),
  counts: z.record(z.enum(jobItemStatuses), z.int()),
  /** The first of the runs it is bound to. */
  sample: z.array(z.object({ runId: idSchema('run'), plan: z.string(), status: z.string(), createdAt: z.string() })),
  createdBy: z.string(),
  createdAt: z.string(),
  finishedAt: z.string().nullable(),
});
export type Job = z.infer<typeof jobSchema>;

export const bulkRunsAtMost = 10_000;

export const bulkRequestSchema = z
  .strictObject({
    verb: z.enum(bulkVerbs),
    reason: z.string().max(2_000).optional(),
    priority: z.int().min(1).max(5).optional(),
    undo: z.boolean().optional().describe('With the verb "cancel" only. False: what the steps did stays.'),
    /** These runs, or those that all of the filter fits: one of both, and never nothing, which would be every run. */
    ids: z.array(idSchema('run')).min(1).max(bulkRunsAtMost).optional(),
    filter: z
      .strictObject({
        status: z.array(z.enum(runStatuses)).min(1).optional(),
        plan: z.string().max(64).optional(),
        labels: z.record(z.string(), z.string()).optional(),
        /** ISO 8601. */
        createdAfter: z.iso.datetime({ offset: true }).optional(),
        createdBefore: z.iso.datetime({ offset: true }).optional(),
      })
      .refine((filter) => Object.keys(filter).length > 0, 'names nothing, which would be every run')
      .optional(),
    /** True: nothing is done until the job is started. */
    dryRun: z.boolean().default(false),
  })
  .refine(({ ids, filter }) => (ids === undefined) !== (filter === undefined), { message: 'give ids or a filter', path: ['filter'] })
  .refine(({ verb, priority }) => (verb === 'priority') === (priority !== undefined), {
    message: 'goes with the verb "priority", and only with that',
    path: ['priority'],
  })
  .refine(({ verb, undo }) => verb === 'cancel' || undo === undefined, { message: 'goes with the verb "cancel" only', path: ['undo'] });
export type BulkRequest = z.infer<typeof bulkRequestSchema>;
