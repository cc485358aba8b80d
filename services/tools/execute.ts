import { type FaultDetail, KosError } from '#core/errors.ts';
import { faultDetailsOf, inPlainWords } from '#core/schema-words.ts';
import type { Json } from '#schemas/json.ts';
import { withinTime } from '#services/time-limit.ts';
import { type Tool, type ToolContext, ToolFailure } from '#services/tools/tool.ts';

const describeFaults = (faults: readonly FaultDetail[]): string =>
  faults
    .slice(0, 3)
    .map(({ pointer, message }) => `${pointer || '/'}: ${message}`)
    .join('; ');

function parseInput(tool: Tool, rawInput: unknown): unknown {
  const parsed = tool.input.safeParse(rawInput, { error: inPlainWords });
  if (parsed.success) return parsed.data;
  const details = faultDetailsOf(parsed.error);
  throw new ToolFailure({
    code: 'tool_input_invalid',
    message: `The input of ${tool.name} is not valid: ${describeFaults(details)}`,
    fix: `Correct the step's "with" by the input schema of ${tool.name}.`,
    status: 422,
    details,
    effect: 'none',
  });
}

/** What is known of the outside once a tool was started and its outcome is missing. */
const effectWhenUnknown = (tool: Tool): 'none' | 'unknown' => (tool.effect === 'pure' ? 'none' : 'unknown');

function parseOutput(tool: Tool, rawOutput: unknown): Json {
  const parsed = tool.output.safeParse(rawOutput, { error: inPlainWords });
  if (!parsed.success) {
    const details = faultDetailsOf(parsed.error);
    throw new ToolFailure({
      code: 'tool_output_invalid',
      message: `${tool.name} answered with something else than it declares: ${describeFaults(details)}`,
      status: 500,
      details,
      effect: effectWhenUnknown(tool),
    });
  }
  const text = JSON.stringify(parsed.data);
  const bytes = text === undefined ? 0 : Buffer.byteLength(text);
  if (bytes > tool.limits.outputBytes) {
    throw new ToolFailure({
      code: 'output_too_large',
      message: `${tool.name} put out ${bytes} bytes; at most ${tool.limits.outputBytes} are allowed`,
      fix: 'Ask for less (a limit, a smaller file, a window).',
      status: 413,
      effect: effectWhenUnknown(tool),
    });
  }
  return parsed.data as Json;
}

/** The outcome of a tool that was stopped: by its own limit, or from outside through `context.signal`. */
function stoppedFailure(tool: Tool, context: ToolContext): ToolFailure {
  const effect = effectWhenUnknown(tool);
  const reason: unknown = context.signal.aborted ? context.signal.reason : null;
  if (reason instanceof ToolFailure) return reason;
  if (reason instanceof KosError) {
    return new ToolFailure({
      code: reason.code,
      message: reason.message,
      fix: reason.fix,
      status: reason.status,
      retryable: reason.retryable,
      cause: reason,
      effect,
    });
  }
  const timedOut = !context.signal.aborted || (reason instanceof Error && reason.name === 'TimeoutError');
  return timedOut
    ? new ToolFailure({
        code: 'tool_timeout',
        message: `${tool.name} did not finish in time (its own limit: ${tool.limits.timeoutMs} ms)`,
        status: 504,
        retryable: true,
        effect,
      })
    : new ToolFailure({ code: 'tool_cancelled', message: `${tool.name} was stopped before it finished`, status: 499, effect });
}

function unexpectedFailure(tool: Tool, error: unknown): ToolFailure {
  const effect = effectWhenUnknown(tool);
  if (error instanceof ToolFailure) return error;
  if (error instanceof KosError) {
    const { code, message, fix, status, retryable, details, extra } = error;
    return new ToolFailure({ code, message, fix, status, retryable, details, extra, cause: error, effect });
  }
  const text = error instanceof Error ? error.message : String(error);
  return new ToolFailure({
    code: 'tool_failed',
    message: `${tool.name} failed: ${text}`,
    status: 500,
    retryable: tool.effect !== 'pure',
    cause: error,
    effect,
  });
}

/** Settles with the tool, or rejects when `signal` aborts: a tool that does not listen is left behind and its late answer is dropped. */
async function raceAgainst<T>(signal: AbortSignal, start: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const stop = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([start(), aborted.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/**
 * Runs one tool within its contract: input and output by its schemas, its time and size limits, and every failure as a ToolFailure that says
 * whether the outside may have changed. The only way the product calls a tool.
 */
export async function executeTool(tool: Tool, rawInput: unknown, context: ToolContext): Promise<Json> {
  const input = parseInput(tool, rawInput);
  if (context.signal.aborted)
    throw new ToolFailure({ code: 'tool_cancelled', message: `${tool.name} was stopped before it began`, status: 499, effect: 'none' });
  return await withinTime(context.signal, tool.limits.timeoutMs, async ({ signal }) => {
    try {
      return parseOutput(tool, await raceAgainst(signal, () => tool.execute(input, { ...context, signal })));
    } catch (error) {
      if (signal.aborted && !(error instanceof ToolFailure && error.effect === 'none')) throw stoppedFailure(tool, context);
      throw unexpectedFailure(tool, error);
    }
  });
}
