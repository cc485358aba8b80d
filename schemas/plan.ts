import { z } from 'zod';
import { jsonSchema } from './json.ts';

/**
 * A plan as its author writes it (YAML or JSON). Strict everywhere: an unknown key is an error, never ignored. Text may hold `${…}` expressions
 * where a field says so; what they may mention is checked by `core/plan/compile.ts`, not here.
 */
export const planLimits = {
  /** Bytes of the text, UTF-8. */
  textBytes: 1_000_000,
  steps: 2_000,
  /** Bytes of the shape as JSON. */
  shapeBytes: 256_000,
  maxInFlight: 500,
  concurrency: 500,
  /** Of one step, or of one item of it. */
  rounds: 10_000,
  /** Sub-plans below one another. */
  depth: 8,
  /** One week, in milliseconds: a longer attempt, wait between attempts or run is a mistake in the unit. */
  longestMs: 604_800_000,
  /** 366 days, in milliseconds: the longest timer or approval. */
  longestWaitMs: 31_622_400_000,
} as const;

export const stepIdSchema = z
  .string()
  .regex(/^[a-z][a-zA-Z0-9_]*$/, 'a step id starts with a lower-case letter and has only letters, digits and underscores')
  .max(64);

const durationMs = z.int().min(1).max(planLimits.longestMs);

/** A whole `${…}`, or text with `${…}` in it. */
const templateText = z.string();

/** `when`: `true`, `false`, or one expression. */
const condition = z.union([z.boolean(), templateText]);

export const retrySchema = z.strictObject({
  /** Tries in all, the first included. */
  maxAttempts: z.int().min(1).max(100).optional(),
  initialDelayMs: z.int().min(0).max(planLimits.longestMs).optional(),
  maximumDelayMs: z.int().min(0).max(planLimits.longestMs).optional(),
  backoffCoefficient: z.number().min(1).max(100).optional(),
  nonRetryable: z
    .array(
      z
        .string()
        .regex(/^[a-z][a-z0-9_]*$/, 'an error code has only lower-case letters, digits and underscores')
        .max(100),
    )
    .max(50)
    .optional()
    .describe('Error codes after which there is no other attempt.'),
});

const failOrContinue = z.enum(['fail', 'continue']);
/** `continue` gives null, `value` something else, `step` what another step gives that runs only then. */
const onError = z.union([failOrContinue, z.strictObject({ value: jsonSchema }), z.strictObject({ step: stepIdSchema })]);
const onItemError = z.union([failOrContinue, z.strictObject({ tolerate: z.int().min(1).max(100_000) })]);
const concurrency = z.int().min(1).max(planLimits.concurrency);

const everyStep = {
  needs: z.array(stepIdSchema).max(planLimits.steps).optional().describe('Steps that must end first, besides those that expressions mention.'),
  when: condition.optional().describe('One expression that gives a boolean; false skips the step.'),
  onError: onError
    .optional()
    .describe('What a failure means. continue: dependants go on with null. value: they go on with it; it may read `error`. step: that step stands in.'),
};

export const lineForms = ['text', 'json'] as const;
export type LineForm = (typeof lineForms)[number];

const artifactLines = z.strictObject({
  artifact: templateText.min(1).max(1_000).describe('The id of an artifact; may hold expressions.'),
  lines: z.enum(lineForms).describe('What an item is: text, the line as it stands; json, the value that is written in it.'),
});

const overItems = {
  forEach: z
    .union([templateText, z.array(jsonSchema), artifactLines])
    .optional()
    .describe('A list, one expression that gives a list, or the lines of an artifact: the step runs once for each item, and sees it as item and index.'),
  concurrency: concurrency.optional().describe('Items at once.'),
  onItemError: onItemError.optional().describe('What the failure of an item means: fail, continue (null stands in its place), or tolerate so many.'),
};

/** A step that does nothing until something happens: a person decides, a time comes, a signal arrives. */
const waitingStep = { ...everyStep, ...overItems };

/** The same step again and again, each time a round of its own. */
export const repeatSchema = z
  .strictObject({
    until: templateText
      .optional()
      .describe('One expression that gives a boolean, looked at after each round: true ends the step. It may read output, last and iteration.'),
    while: templateText.optional().describe('As until, the other way round: false ends the step.'),
    maxIterations: z.int().min(1).max(planLimits.rounds).describe('Rounds at most.'),
    everyMs: z
      .int()
      .min(0)
      .max(planLimits.longestWaitMs)
      .optional()
      .describe('Pause between the end of a round and the begin of the next, in milliseconds; none when it is not said.'),
    onExhausted: failOrContinue
      .optional()
      .describe('What it means when maxIterations rounds were not enough: fail, or continue with the output of the last one.'),
  })
  .refine((repeat) => (repeat.until === undefined) !== (repeat.while === undefined), 'a repeat says either until or while');
export type Repeat = z.infer<typeof repeatSchema>;

const inRounds = {
  repeat: repeatSchema.optional().describe('The step runs in rounds, one after the other; it sees iteration and last, the output of the round before.'),
};

const workingStep = {
  ...waitingStep,
  ...inRounds,
  retry: retrySchema.optional().describe('How often, and how far apart, the step is tried.'),
  timeoutMs: durationMs.optional().describe('Bound of one attempt, in milliseconds.'),
  timeoutInAllMs: z
    .int()
    .min(1)
    .max(planLimits.longestWaitMs)
    .optional()
    .describe('Bound of all attempts together, the pauses between them included, in milliseconds.'),
};

/** What takes a step's effect back when its run fails or is cancelled. */
export const undoSchema = z.strictObject({
  tool: z.string().min(1).max(200).describe("The tool's name: one that is idempotent or effectful."),
  with: z
    .record(z.string(), jsonSchema)
    .optional()
    .describe("The tool's input; may hold expressions, which see what the step itself sees, and `output`, what the step has put out."),
  retry: retrySchema.optional().describe('How often, and how far apart, the undo is tried; as the step is when it is not said.'),
  timeoutMs: durationMs.optional().describe('Bound of one attempt, in milliseconds; as of the step when it is not said.'),
});
export type Undo = z.infer<typeof undoSchema>;

const undone = {
  undo: undoSchema.optional().describe('When the run fails or is cancelled after this step has succeeded, that tool is called: the last step first.'),
};

/** The output of an earlier step stands in for this one's work. */
export const cacheSchema = z.strictObject({
  ttlMs: z.int().min(1).max(planLimits.longestWaitMs).describe('How old the output may be, in milliseconds.'),
  scope: z.enum(['plan', 'workspace']).optional().describe('Whose outputs may be reused: those of runs of this plan, or of every plan of the workspace.'),
});

const cachedStep = {
  ...workingStep,
  cache: cacheSchema.optional().describe('Reuse the output of a step that had the same input, instead of doing the work again.'),
};

/** As it holds, defaults filled in. */
export type CacheRule = { ttlMs: number; scope: 'plan' | 'workspace' };

export const transformStepSchema = z.strictObject({
  transform: jsonSchema.describe('A value with expressions in it: its result is the output.'),
  ...cachedStep,
});

export const llmStepSchema = z.strictObject({
  llm: z.strictObject({
    model: z.string().min(1).max(1_000).describe('An alias such as fast, or provider/name; may be an expression.'),
    prompt: z.string().min(1).describe('A Jinja template over the names of with.'),
    system: z.string().optional().describe('A Jinja template over the names of with.'),
    with: z
      .record(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/, 'a prompt variable has only letters, digits and underscores'), jsonSchema)
      .optional()
      .describe('What the prompt may use, by name.'),
    schema: z.record(z.string(), jsonSchema).optional().describe('JSON Schema of the wanted object; without it the output is text.'),
    maxOutputTokens: z.int().min(1).max(1_000_000).optional(),
    temperature: z.number().min(0).max(2).optional(),
  }),
  ...cachedStep,
});

export const toolStepSchema = z.strictObject({
  tool: z.string().min(1).max(200).describe("The tool's name."),
  with: z.record(z.string(), jsonSchema).optional().describe("The tool's input; may hold expressions."),
  ...cachedStep,
  ...undone,
});

export const artifactStepSchema = z.strictObject({
  artifact: z.strictObject({
    name: z.string().min(1).max(1_000).describe('A file name; may hold expressions.'),
    content: jsonSchema.describe('Text is stored as it is, anything else as JSON.'),
    mediaType: z.string().min(1).max(200).optional(),
  }),
  ...workingStep,
  ...undone,
});

/** A condition of a wait is looked at again and again: its call must end soon. In milliseconds. */
const longestCheckMs = 45_000;

export const conditionalWaitSchema = z.strictObject({
  check: z.strictObject({
    tool: z.string().min(1).max(200).describe('The name of a tool that is pure or idempotent: it is called again and again.'),
    with: z.record(z.string(), jsonSchema).optional().describe("The tool's input; may hold expressions."),
    retry: retrySchema
      .optional()
      .describe('How far apart it is called again when a call fails; then everyMs holds. After a code under nonRetryable the wait fails.'),
    timeoutMs: z.int().min(1).max(longestCheckMs).optional().describe('Bound of one call, in milliseconds; 20 s when it is not said.'),
  }),
  until: templateText.describe('One expression over check.output that gives a boolean: true ends the wait.'),
  everyMs: z.int().min(100).max(planLimits.longestWaitMs).describe('Pause between two calls, in milliseconds.'),
  expiresInMs: z
    .int()
    .min(1_000)
    .max(planLimits.longestWaitMs)
    .optional()
    .describe('Time for the condition to be met, in milliseconds; one week when it is not said.'),
  onExpiry: failOrContinue.optional().describe('continue: when it is not met in time, output.met is false instead of a failure.'),
});

export const waitStepSchema = z.strictObject({
  wait: z.union([
    z.strictObject({ forMs: z.union([z.int().min(0).max(planLimits.longestWaitMs), templateText]) }),
    z.strictObject({ until: templateText.describe('An instant with its offset, as in 2031-01-31T09:00:00Z, or an expression that gives one.') }),
    conditionalWaitSchema,
  ]),
  ...waitingStep,
});

/** The one that has a check, by itself: what is wrong with it is then told in its own words. */
export const conditionalWaitStepSchema = z.strictObject({ wait: conditionalWaitSchema, ...waitingStep });

/** As it is sent: letters, digits and `_ . : @ / -`, at most 128. */
export const signalNamePattern = /^[A-Za-z0-9][A-Za-z0-9_.:@/-]{0,127}$/;

export const signalStepSchema = z.strictObject({
  signal: z.strictObject({
    name: templateText.min(1).max(1_000).describe('What the signal is called by who sends it; may hold expressions.'),
    schema: z.record(z.string(), jsonSchema).optional().describe('JSON Schema of the payload; without it any payload is taken.'),
    expiresInMs: z.int().min(1_000).max(planLimits.longestWaitMs).optional().describe('Time to arrive, in milliseconds; one week when it is not said.'),
    onExpiry: z.enum(['fail', 'continue']).optional().describe('continue: when none arrives in time the output is null instead of a failure.'),
  }),
  ...waitingStep,
});

export const roleNames = ['viewer', 'operator', 'approver', 'admin', 'owner'] as const;

/** One who may decide: a role, a person by id or name, an agent by name. */
const approverSchema = z
  .string()
  .regex(
    new RegExp(`^(role:(${roleNames.join('|')})|(user|agent):[^\\s,:][^,\\n]{0,199})$`),
    `who decides is user:ID-or-name, agent:NAME, or role: and one of ${roleNames.join(', ')}`,
  );

const approversSchema = z.union([approverSchema, z.array(approverSchema).min(1).max(20)]);

const timeToDecideMs = z.int().min(1_000).max(planLimits.longestWaitMs);

export const approvalStepSchema = z.strictObject({
  approval: z.strictObject({
    for: z.array(stepIdSchema).min(1).max(100).optional().describe('Steps that run only after the decision, with the input that was shown.'),
    from: approversSchema.optional().describe('Who may decide: role:ROLE, user:ID-or-name, agent:NAME, or a list of these.'),
    required: z.int().min(1).max(20).optional().describe('Approvals needed, each by another person; one denial denies.'),
    expiresInMs: timeToDecideMs.optional().describe('Time to decide, in milliseconds; one week when it is not said.'),
    onDeny: z.enum(['fail', 'continue']).optional().describe('continue: a denial gives output.approved = false instead of a failure.'),
    onExpiry: z
      .enum(['fail', 'continue'])
      .optional()
      .describe('continue: an expiry gives output.approved = false instead of a failure; as onDeny when it is not said.'),
    escalate: z
      .array(
        z.strictObject({
          afterMs: timeToDecideMs.describe('Milliseconds after it was asked for.'),
          to: approversSchema.optional().describe('Who may decide from then on, too; without it only an event tells that time passes.'),
        }),
      )
      .min(1)
      .max(10)
      .optional()
      .describe('What happens when nobody has decided.'),
    fourEyes: z.boolean().optional().describe('The person who answers for the run may not decide.'),
    message: templateText.optional().describe('What the person who decides reads; may hold expressions.'),
  }),
  ...waitingStep,
});

/** `name` (the newest version when the run is accepted), or `name@version`. */
export const planReferencePattern = /^[a-z][a-z0-9-]{0,63}(@[1-9][0-9]{0,8})?$/;

export const planCallStepSchema = z.strictObject({
  plan: z.string().regex(planReferencePattern, 'must be a plan name or name@version').describe('The plan that is run: NAME, or NAME@VERSION.'),
  with: z.record(z.string(), jsonSchema).optional().describe("The other run's input; may hold expressions."),
  retry: retrySchema.optional().describe('How often another run is started when one fails; once when it is not said.'),
  ...inRounds,
  ...waitingStep,
  ...undone,
});

export const stepSchemas = {
  transform: transformStepSchema,
  llm: llmStepSchema,
  tool: toolStepSchema,
  artifact: artifactStepSchema,
  wait: waitStepSchema,
  approval: approvalStepSchema,
  signal: signalStepSchema,
  plan: planCallStepSchema,
} as const;

export const planStepSchema = z.union([
  transformStepSchema,
  llmStepSchema,
  toolStepSchema,
  artifactStepSchema,
  waitStepSchema,
  approvalStepSchema,
  signalStepSchema,
  planCallStepSchema,
]);

/** How many runs of a plan may be open at once, and what becomes of one more. */
export const concurrencyRuleSchema = z.strictObject({
  key: templateText
    .max(2_000)
    .optional()
    .describe('Runs with an equal key share the slots; may hold expressions over the input. Without it all runs of the plan do.'),
  limit: z.int().min(1).max(1_000).describe('Runs open at once.'),
  onConflict: z
    .enum(['queue', 'reject', 'cancelRunning'])
    .optional()
    .describe('queue: the run waits for its turn, first come first served. reject: it is not accepted. cancelRunning: the oldest gives way.'),
});
export type ConcurrencyRule = z.infer<typeof concurrencyRuleSchema>;

export const planNameSchema = z
  .string()
  .regex(/^[a-z][a-z0-9-]*$/, 'a plan name starts with a lower-case letter and has only lower-case letters, digits and hyphens')
  .max(64);

export const onFailureSchema = z.strictObject({
  plan: z.string().regex(planReferencePattern, 'must be the name of a plan, or name@version').describe('Its newest version when a run fails, or name@version.'),
  input: z.record(z.string(), jsonSchema).optional().describe('Inputs besides `failure`; may hold expressions over the input of the run that failed.'),
});
export type OnFailure = z.infer<typeof onFailureSchema>;

/** Doors that show a plan as something of their own. */
const exposures = ['mcp'] as const;
export type Exposure = (typeof exposures)[number];

/** Everything of a plan but its steps, which are checked one by one so that a fault names the step's own kind. */
export const planHeaderSchema = z.strictObject({
  plan: planNameSchema.describe("The plan's name."),
  version: z.int().min(1).optional().describe("The author's own number; the version of a saved plan is given when it is saved."),
  description: z.string().max(10_000).optional().describe('What the plan is for.'),
  input: z.record(z.string(), jsonSchema).optional().describe("JSON Schema (draft 2020-12) of the run's input, an object. Without it the plan takes no input."),
  defaults: z
    .strictObject({ retry: retrySchema.optional(), timeoutMs: durationMs.optional(), onError: failOrContinue.optional(), concurrency: concurrency.optional() })
    .optional()
    .describe('What holds for every step that does not say otherwise.'),
  output: jsonSchema.optional().describe("The run's output; may hold expressions."),
  fuse: z
    .enum(['none', 'pure', 'effects'])
    .optional()
    .describe(
      'pure: chains of pure steps run in one activity. effects: idempotent tools, artifacts and short model calls join them. none: every step in its own.',
    ),
  concurrency: concurrencyRuleSchema.optional().describe('Bounds how many runs of the plan are open at once.'),
  priority: z.int().min(1).max(5).optional().describe('1 is served first, 5 last; 3 when it is not said. A start may ask for another.'),
  maxInFlight: z.int().min(1).max(planLimits.maxInFlight).optional().describe('Steps and items in flight at once.'),
  timeoutMs: z.int().min(1).max(planLimits.longestWaitMs).optional().describe('Bound of the whole run, in milliseconds.'),
  labels: z
    .record(z.string().regex(/^[a-zA-Z0-9_.-]{1,64}$/, 'a label name has at most 64 letters, digits, dots, underscores and hyphens'), z.string().max(256))
    .optional()
    .describe('Labels of every run of this plan.'),
  onFailure: onFailureSchema.optional().describe('A plan that is started once when a run fails: it is told which, and why, in its input `failure`.'),
  expose: z
    .array(z.enum(exposures))
    .max(exposures.length)
    .optional()
    .describe('Doors at which the plan can be called by its name, besides the API. mcp: it is a tool of the MCP server.'),
  steps: z.record(z.string(), z.unknown()),
});

export const planSchema = planHeaderSchema.extend({
  steps: z.record(stepIdSchema, planStepSchema),
});

export type ConditionalWait = z.infer<typeof conditionalWaitSchema>;
export type SignalStep = z.infer<typeof signalStepSchema>;
export type ApprovalStep = z.infer<typeof approvalStepSchema>;
export type PlanStep = z.infer<typeof planStepSchema>;
export type Plan = z.infer<typeof planSchema>;

/** What holds where neither step nor `defaults` says otherwise. */
export const stepDefaults = {
  retry: { maxAttempts: 3, initialDelayMs: 1_000, maximumDelayMs: 60_000, backoffCoefficient: 2 },
  timeoutMs: 60_000,
  onError: 'fail',
  concurrency: 20,
  maxInFlight: 100,
  approval: { from: 'role:approver', required: 1, expiresInMs: 604_800_000, onDeny: 'fail', fourEyes: false },
  signal: { expiresInMs: 604_800_000, onExpiry: 'fail' },
  cacheScope: 'plan',
  check: { expiresInMs: 604_800_000, onExpiry: 'fail', timeoutMs: 20_000 },
} as const;
