import type { z } from 'zod';
import type { Tool, ToolContext, ToolEffect } from '#services/tools/tool.ts';

export interface ToolDefinition<Input extends z.ZodType, Output extends z.ZodType> {
  name: string;
  version: number;
  description: string;
  effect: ToolEffect;
  quick?: true;
  alwaysAsk?: true;
  input: Input;
  output: Output;
  limits: Tool['limits'];
  execute(input: z.output<Input>, context: ToolContext): Promise<z.input<Output>>;
  reconcile?(input: z.output<Input>, context: ToolContext): Promise<z.input<Output> | null>;
}

/** A tool whose types come from its schemas. What `execute` is given was parsed by `input`. */
export const defineTool = <Input extends z.ZodType, Output extends z.ZodType>(definition: ToolDefinition<Input, Output>): Tool => definition;

/** 8 MB: the most that a step may put out; more is an artifact. */
export const maximumOutputBytes = 8 * 1024 * 1024;
