import { describe, expect, it } from 'vitest';
import { describeTool } from '#services/tools/registry.ts';
import { executeTool } from '#services/tools/execute.ts';
import { type Tool, type ToolContext, ToolFailure, type ToolSettings } from '#services/tools/tool.ts';

/** What a tool needs to show that it keeps the contract. Functions, because folders and ports are known only when the tests run. */
export interface ToolFixture {
  tool: Tool;
  settings: () => ToolSettings;
  validInput: () => Record<string, unknown>;
  badInputs: () => unknown[];
  /** Inputs that reach for what the settings do not allow, and the code of the refusal. */
  forbidden?: () => { input: unknown; code: string }[];
  /** The state of the outside that the tool could change. Compared before and after what must change nothing. */
  observe?: () => Promise<unknown>;
}

export function toolContext(settings: ToolSettings, changes: Partial<ToolContext> = {}): ToolContext {
  return {
    workspaceId: 'ws_test',
    runId: 'run_test',
    stepPath: 'step',
    effectKey: 'run_test/step',
    attempt: 1,
    signal: new AbortController().signal,
    settings,
    openSecret: async (handle) => {
      throw new ToolFailure({ code: 'secret_refused', message: `${handle} is not stored`, effect: 'none' });
    },
    ...changes,
  };
}

/** The ToolFailure of a call, or an assertion error when it succeeds or fails otherwise. */
export async function failureOf(tool: Tool, input: unknown, context: ToolContext): Promise<ToolFailure> {
  const outcome = await executeTool(tool, input, context).then(
    (output) => ({ output }),
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(ToolFailure);
  return outcome as ToolFailure;
}

/** The contract that every tool keeps, whatever it does. */
export function toolConformance(fixture: ToolFixture): void {
  const { tool } = fixture;
  const observe = fixture.observe ?? (async () => null);
  const context = (changes: Partial<ToolContext> = {}): ToolContext => toolContext(fixture.settings(), changes);

  describe(`${tool.name} keeps the contract of tools`, () => {
    it('describes itself as plain JSON, with schemas of objects', () => {
      const description = describeTool(tool);
      expect(JSON.parse(JSON.stringify(description))).toEqual(description);
      expect(description.inputSchema.type).toBe('object');
      expect(description.outputSchema.type).toBe('object');
      expect(description.description.length).toBeGreaterThan(10);
      expect(description.limits.timeoutMs).toBeGreaterThan(0);
      expect(description.limits.outputBytes).toBeLessThanOrEqual(8 * 1024 * 1024);
    });

    it('answers valid input with what it declares', async () => {
      const output = await executeTool(tool, fixture.validInput(), context());
      expect(tool.output.safeParse(output).success).toBe(true);
      expect(JSON.parse(JSON.stringify(output))).toEqual(output);
    });

    it('may be repeated under the same effect key, unless it is effectful', async () => {
      if (tool.effect === 'effectful') {
        expect(tool.effect).toBe('effectful');
        return;
      }
      const first = await executeTool(tool, fixture.validInput(), context());
      const stateAfterFirst = await observe();
      const second = await executeTool(tool, fixture.validInput(), context({ attempt: 2 }));
      expect(await observe()).toEqual(stateAfterFirst);
      if (tool.effect === 'pure') expect(second).toEqual(first);
    });

    it('refuses bad input before anything happens', async () => {
      const before = await observe();
      for (const input of [...fixture.badInputs(), null, 'text', [], 7]) {
        const failure = await failureOf(tool, input, context());
        expect(failure, JSON.stringify(input)?.slice(0, 200)).toMatchObject({ code: 'tool_input_invalid', effect: 'none', retryable: false });
        expect(failure.details.length).toBeGreaterThan(0);
      }
      expect(await observe()).toEqual(before);
    });

    it('refuses what the settings do not allow, and says nothing happened', async () => {
      const before = await observe();
      for (const { input, code } of fixture.forbidden?.() ?? []) {
        expect(await failureOf(tool, input, context()), JSON.stringify(input)).toMatchObject({ code, effect: 'none', retryable: false });
      }
      expect(await observe()).toEqual(before);
    });

    it('does nothing when it was stopped before it began', async () => {
      const before = await observe();
      expect(await failureOf(tool, fixture.validInput(), context({ signal: AbortSignal.abort() }))).toMatchObject({ code: 'tool_cancelled', effect: 'none' });
      expect(await observe()).toEqual(before);
    });

    it('ends when it is stopped, or had ended by then', async () => {
      const controller = new AbortController();
      const call = executeTool(tool, fixture.validInput(), context({ signal: controller.signal })).catch((error: unknown) => error);
      controller.abort();
      const outcome = await call;
      if (outcome instanceof Error) expect(outcome).toMatchObject({ name: 'ToolFailure', code: 'tool_cancelled' });
      else expect(tool.output.safeParse(outcome).success).toBe(true);
    });
  });
}
