import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import { defineTool } from '#services/tools/define.ts';
import { executeTool } from '#services/tools/execute.ts';
import { failureOf, toolContext } from '#services/tools/tool.conformance.ts';
import { type Tool, type ToolContext, ToolFailure } from '#services/tools/tool.ts';

const settings = { roots: [], egress: [] };

function probe(execute: (context: ToolContext) => Promise<unknown>, changes: Partial<Pick<Tool, 'effect' | 'limits'>> = {}): Tool {
  return defineTool({
    name: 'test.probe',
    version: 1,
    description: 'A tool made for one test.',
    effect: 'idempotent',
    input: z.strictObject({ a: z.strictObject({ 'b/c': z.int() }).optional() }),
    output: z.object({ value: z.unknown() }),
    limits: { timeoutMs: 1_000, outputBytes: 100 },
    execute: async (_input, context) => ({ value: await execute(context) }),
    ...changes,
  });
}

/** A tool may throw anything, also what is no Error. */
const throwing = (thrown: unknown) => async (): Promise<never> => {
  throw thrown;
};

describe('executeTool', () => {
  it('points at what is wrong in the input', async () => {
    const failure = await failureOf(
      probe(async () => 1),
      { a: { 'b/c': 'x' } },
      toolContext(settings),
    );
    expect(failure).toMatchObject({ code: 'tool_input_invalid', status: 422, effect: 'none' });
    expect(failure.details[0]?.pointer).toBe('/a/b~1c');
  });

  it('drops what the output schema does not name', async () => {
    const tool = { ...probe(async () => 1), execute: async () => ({ value: 1, secret: 2 }) };
    expect(await executeTool(tool, {}, toolContext(settings))).toEqual({ value: 1 });
  });

  it('refuses output that does not fit the schema or the limit', async () => {
    const broken = { ...probe(async () => 1), execute: async () => 'nothing' };
    expect(await failureOf(broken, {}, toolContext(settings))).toMatchObject({ code: 'tool_output_invalid', retryable: false, effect: 'unknown' });
    expect(
      await failureOf(
        probe(async () => 'x'.repeat(200)),
        {},
        toolContext(settings),
      ),
    ).toMatchObject({ code: 'output_too_large', effect: 'unknown' });
  });

  it('ends a tool that hangs and does not listen, and drops its late answer', async () => {
    let late = false;
    const hang = async (): Promise<number> => {
      await delay(80);
      late = true;
      return 1;
    };
    const failure = await failureOf(probe(hang, { limits: { timeoutMs: 20, outputBytes: 100 } }), {}, toolContext(settings));
    expect(failure).toMatchObject({ code: 'tool_timeout', retryable: true, effect: 'unknown' });
    expect(late).toBe(false);
    await delay(80);
    expect(late).toBe(true);
  });

  it('tells a tool to stop when its time is over', async () => {
    const listen = (context: ToolContext): Promise<never> =>
      delay(5_000, undefined, { signal: context.signal }).then(() => Promise.reject(new Error('was not stopped')));
    expect(await failureOf(probe(listen, { limits: { timeoutMs: 20, outputBytes: 100 } }), {}, toolContext(settings))).toMatchObject({ code: 'tool_timeout' });
  });

  it('takes the reason from whoever stopped it', async () => {
    const hang = (): Promise<void> => delay(200);
    const stop = (reason?: unknown): AbortSignal => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(reason), 10);
      return controller.signal;
    };
    expect(await failureOf(probe(hang), {}, toolContext(settings, { signal: stop() }))).toMatchObject({ code: 'tool_cancelled', retryable: false });
    expect(await failureOf(probe(hang), {}, toolContext(settings, { signal: AbortSignal.timeout(10) }))).toMatchObject({
      code: 'tool_timeout',
      retryable: true,
    });
    const reason = new KosError({ code: 'step_timeout', message: 'The step took too long', retryable: true });
    expect(await failureOf(probe(hang), {}, toolContext(settings, { signal: stop(reason) }))).toMatchObject({
      code: 'step_timeout',
      retryable: true,
      effect: 'unknown',
    });
  });

  it('turns every error into one ToolFailure', async () => {
    const failing = (error: unknown, effect: Tool['effect'] = 'effectful'): Promise<ToolFailure> =>
      failureOf(probe(throwing(error), { effect }), {}, toolContext(settings));
    expect(await failing(new TypeError('odd'))).toMatchObject({ code: 'tool_failed', retryable: true, effect: 'unknown', message: 'test.probe failed: odd' });
    expect(await failing('thrown text', 'pure')).toMatchObject({ code: 'tool_failed', retryable: false, effect: 'none' });
    expect(await failing(new KosError({ code: 'secret_refused', message: 'no', fix: 'do' }))).toMatchObject({
      code: 'secret_refused',
      fix: 'do',
      effect: 'unknown',
    });
    const own = new ToolFailure({ code: 'mine', message: 'm', effect: 'none', retryAfterMs: 5 });
    expect(await failing(own)).toBe(own);
  });
});
