import { z } from 'zod';
import { idSchema } from './ids.ts';
import { jsonObjectSchema, jsonSchema } from './json.ts';
import { isPlanVersion } from './plan-version.ts';
import { runStatuses } from './run.ts';
import { sendSignalSchema } from './signal.ts';

/** One action on many runs: all that a person can do to one of them. */
export const bulkVerbs = ['cancel', 'terminate', 'pause', 'resume', 'retry', 'priority', 'fork', 'replay', 'signal', 'override', 'skip', 'resolve'] as const;
export type BulkVerb = (typeof bulkVerbs)[number];

/** What some verbs are told, once for all runs: as in the request for one run. */
const bulkArguments = {
  priority: z.int().min(1).max(5).optional(),
  undo: z.boolean().optional().describe('False: what the steps did stays.'),
  from: z.string().min(1).max(200).optional().describe('The step from which on everything runs again.'),
  version: z.int().positive().refine(isPlanVersion, 'is no version of a plan: they have nine digits at most').optional(),
  input: jsonObjectSchema.optional().describe("Instead of each run's own."),
  name: sendSignalSchema.shape.name.optional().describe("The signal's."),
  payload: jsonSchema.optional(),
  path: z.string().min(1).max(2_000).optional().describe("The step's, the same in every run."),
  output: jsonSchema.optional(),
  outcome: z.enum(['happened', 'did_not', 'retry']).optional(),
};
type BulkArgument = keyof typeof bulkArguments | 'reason';

const takenBy: Record<BulkVerb, { needs: readonly BulkArgument[]; may: readonly BulkArgument[] }> = {
  cancel: { needs: [], may: ['reason', 'undo'] },
  terminate: { needs: [], may: ['reason'] },
  pause: { needs: [], may: ['reason'] },
  resume: { needs: [], may: ['reason'] },
  retry: { needs: [], may: ['reason'] },
  priority: { needs: ['priority'], may: ['reason'] },
  fork: { needs: ['from'], may: ['reason', 'version', 'input'] },
  replay: { needs: [], may: ['reason', 'input'] },
  signal: { needs: ['name'], may: ['payload', 'reason'] },
  override: { needs: ['path', 'output', 'reason'], may: [] },
  skip: { needs: ['path', 'reason'], may: [] },
  resolve: { needs: ['path', 'outcome', 'reason'], may: ['output'] },
};

export const bulkActionSchema = z.object({
  ...bulkArguments,
  verb: z.enum(bulkVerbs),
  reason: z.string().nullable(),
  priority: z.int().min(1).max(5).nullable(),
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
  /** Of a refusal: its reason. Of a fork or replay that is done: the run that was started. */
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
    ...bulkArguments,
    verb: z.enum(bulkVerbs),
    reason: z.string().max(2_000).optional(),
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
  .superRefine((request, context) => {
    for (const { path, message } of misplacedArguments(request)) context.addIssue({ code: 'custom', path: [path], message });
  });
export type BulkRequest = z.infer<typeof bulkRequestSchema>;

type Told = { verb: BulkVerb } & { [Argument in BulkArgument]?: unknown };

/** Arguments that the verb needs and that are missing, and those that go with others. */
function misplacedArguments(told: Told): { path: BulkArgument; message: string }[] {
  const { needs, may } = takenBy[told.verb];
  const known: BulkArgument[] = ['reason', ...(Object.keys(bulkArguments) as (keyof typeof bulkArguments)[])];
  const misplaced = known.flatMap((path) => {
    if (told[path] === undefined) return needs.includes(path) ? [{ path, message: `goes with the verb "${told.verb}"` }] : [];
    if (needs.includes(path) || may.includes(path)) return [];
    return [{ path, message: `goes with the verbs ${verbsThatTake(path).join(', ')} only` }];
  });
  if (told.verb !== 'resolve' || (told.outcome === 'happened') === (told.output !== undefined)) return misplaced;
  return [...misplaced, { path: 'output', message: 'goes with the outcome "happened", and only with that' }];
}

const verbsThatTake = (argument: BulkArgument): BulkVerb[] =>
  bulkVerbs.filter((verb) => takenBy[verb].needs.includes(argument) || takenBy[verb].may.includes(argument));
