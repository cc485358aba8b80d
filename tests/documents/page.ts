import { parse } from 'yaml';
import { z } from 'zod';
import { jsonObjectSchema, jsonSchema } from '#schemas/json.ts';
import { finalRunStatuses, stepStatuses } from '#schemas/run.ts';

const decision = z.enum(['approve', 'deny']);

/** How a page says that a plan of it is run, and what comes of it: a yaml block that begins with `run: NAME`. */
export const pageRunSchema = z.strictObject({
  run: z.string(),
  input: jsonObjectSchema.default({}),
  /** Sent right behind the start: early signals are kept. */
  signals: z.array(z.strictObject({ name: z.string(), payload: jsonSchema.default(null) })).default([]),
  /** By path of the approval, below its sub-runs, too; of several people in their order. What is not named is approved. */
  decide: z.record(z.string(), z.union([decision, z.array(decision)])).default({}),
  status: z.enum(finalRunStatuses).default('succeeded'),
  /** Objects need only hold what is said here. */
  output: jsonSchema.optional(),
  /** Code of the run's error. */
  error: z.string().optional(),
  /** What became of steps, by their paths. */
  steps: z.record(z.string(), z.enum(stepStatuses)).default({}),
});
export type PageRun = z.output<typeof pageRunSchema>;

export interface Page {
  path: string;
  /** Sources of whole plans, by name. */
  plans: Map<string, string>;
  runs: PageRun[];
}

const blocks = (text: string, begin: string): string[] =>
  [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block = '']) => block).filter((block) => block.startsWith(begin));

const nameOf = (plan: string): string => /^plan: (\S+)/.exec(plan)?.[1] ?? '';

/** A plan that the page says nothing more of runs without input, and is approved. */
export function readPage(path: string, text: string): Page {
  const plans = new Map(blocks(text, 'plan: ').map((plan) => [nameOf(plan), plan]));
  const said = blocks(text, 'run: ').map((block) => pageRunSchema.parse(parse(block)));
  const unsaid = [...plans.keys()].filter((name) => !said.some(({ run }) => run === name)).map((run) => pageRunSchema.parse({ run }));
  for (const { run } of said) if (!plans.has(run)) throw new Error(`${path} has a run of the plan "${run}", and no such plan.`);
  return { path, plans, runs: [...said, ...unsaid] };
}
