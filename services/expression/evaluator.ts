import { availableParallelism } from 'node:os';
import type { FaultDetail } from '#core/errors.ts';
import { isCheap, readPart, weigh } from '#core/expression/cost.ts';
import type { Scope } from '#core/expression/scope.ts';
import { evaluateTemplate, type Template } from '#core/expression/template.ts';
import { isCheapToCheck, validateJson } from '#core/plan/json-schema.ts';
import { type InputResult, validateInput } from '#core/plan/validate-input.ts';
import { renderPrompt } from '#core/prompt/render.ts';
import { parsePrompt } from '#core/prompt/syntax.ts';
import type { Json } from '#schemas/json.ts';
import { JobPool } from './job-pool.ts';
import { ProcessRunner } from './process-runner.ts';
import type { RunnerOptions } from './runner.ts';

/**
 * Evaluates what users wrote. Cheap work is done at once, in the caller's thread; all else in a process of its own with a budget of processor
 * time and memory, so that the caller's event loop (and with it every heartbeat) goes on, and its memory is its own. Each function may be handed on by itself.
 */
export interface Evaluator {
  /** Throws `KosError`: `expression_failed`, `expression_result`, `expression_budget`. */
  evaluate: (template: Template, scope: Scope) => Promise<Json>;
  /** Renders a Jinja prompt. Throws `KosError`: `prompt_failed`, `expression_budget`. */
  renderPrompt: (prompt: string, variables: { [name: string]: Json }) => Promise<string>;
  /** As `validateInput` of `core/plan`, under the budget unless it is surely cheap. */
  validateInput: (schema: Json | null, input: Json | undefined) => Promise<InputResult>;
  /** As `validateJson` of `core/plan`: any value, no defaults. */
  validateJson: (schema: Json, value: Json) => Promise<FaultDetail[]>;
  /** Ends the processes; what still runs is rejected. */
  close: () => Promise<void>;
}

/** Values and text that a prompt may copy and still be rendered at once, about 2 ms. */
const inlinePromptWeight = 20_000;
/** Meetings of a part of a schema with a part of a value that are worth no thread, about 20 ms at most. */
const inlineCheckWork = 20_000;

export interface EvaluatorOptions extends RunnerOptions {
  processes: number;
}

export function createEvaluator(options: Partial<EvaluatorOptions> = {}): Evaluator {
  const { processes, ...budget } = { processes: Math.max(1, Math.min(4, availableParallelism() - 1)), budgetMs: 250, memoryMb: 64, ...options };
  const pool = new JobPool(processes, () => new ProcessRunner(budget));
  return {
    async evaluate(template, scope) {
      if (isCheap(template, scope)) return evaluateTemplate(template, scope);
      return pool.run({ kind: 'evaluate', source: template.source, scope: readPart(template, scope) }, describe(template));
    },
    async renderPrompt(prompt, variables) {
      const parsed = parsePrompt(prompt);
      const cheap = parsed.ok && weigh(variables, inlinePromptWeight) * parsed.prompt.copies <= inlinePromptWeight;
      return cheap || !parsed.ok ? renderPrompt(prompt, variables) : pool.run({ kind: 'render', prompt, variables }, 'A prompt');
    },
    async validateInput(schema, input) {
      const cheap = schema === null || isCheapToCheck(schema, input ?? {}, inlineCheckWork);
      return cheap ? validateInput(schema, input) : pool.run({ kind: 'validate', schema, input: input ?? {} }, 'The check of the input');
    },
    async validateJson(schema, value) {
      const cheap = isCheapToCheck(schema, value, inlineCheckWork);
      return cheap ? validateJson(schema, value) : pool.run({ kind: 'check', schema, value }, 'The check of a value');
    },
    close: () => pool.close(),
  };
}

function describe(template: Template): string {
  const dearest = template.expressions.find(({ expression }) => expression.chain === undefined) ?? template.expressions[0];
  return dearest === undefined ? 'An expression' : `Expression \${${dearest.expression.source.slice(0, 200)}}`;
}
