import { Environment, Interpreter } from '@huggingface/jinja';
import { KosError } from '#core/errors.ts';
import type { Json } from '#schemas/json.ts';
import { parsePrompt } from './syntax.ts';

/** Characters of a rendered prompt, unless the caller says less. */
const longestRendered = 2_000_000;
/** Elements of a list that range() makes. */
const longestRange = 100_000;

/** Renders a Jinja template over plain data, in this thread. Throws `prompt_failed`. Deterministic: a template has no clock. */
export function renderPrompt(text: string, variables: { [name: string]: Json }, maxCharacters = longestRendered): string {
  const parsed = parsePrompt(text);
  if (!parsed.ok) throw promptFailed(`it cannot be parsed: ${parsed.message}`);
  let rendered: string;
  try {
    rendered = String(new Interpreter(environmentWith(variables)).run(parsed.prompt.program).value);
  } catch (error) {
    throw promptFailed(error instanceof Error ? error.message : String(error), error);
  }
  if (rendered.length > maxCharacters) throw promptFailed(`it came to ${rendered.length} characters; ${maxCharacters} are allowed`);
  return rendered;
}

function promptFailed(reason: string, cause?: unknown): KosError {
  return new KosError({
    code: 'prompt_failed',
    message: `The prompt could not be rendered: ${reason}`,
    fix: 'Correct the prompt in the plan, or what `with` gives it.',
    status: 422,
    cause,
  });
}

function environmentWith(variables: { [name: string]: Json }): Environment {
  const environment = new Environment();
  for (const name of ['true', 'True']) environment.set(name, true);
  for (const name of ['false', 'False']) environment.set(name, false);
  for (const name of ['none', 'None']) environment.set(name, null);
  environment.set('range', boundedRange);
  environment.set('raise_exception', (reason: unknown) => {
    throw new Error(String(reason));
  });
  for (const [name, value] of Object.entries(variables)) environment.set(name, value);
  return environment;
}

function boundedRange(first: unknown, second?: unknown, third?: unknown): number[] {
  const [start, stop] = second === undefined ? [0, Number(first)] : [Number(first), Number(second)];
  const step = third === undefined ? 1 : Number(third);
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!Number.isFinite(length) || length > longestRange) throw new Error(`range() would make ${length} elements, ${longestRange} are allowed`);
  return Array.from({ length }, (_, index) => start + index * step);
}
