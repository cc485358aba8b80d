import { usageFault } from './faults.ts';
import type { Output } from './output.ts';

/** Asks the person at the terminal; throws where nobody can be asked. `otherwise` says how to do without. */
export async function confirmed(output: Output, question: string, otherwise: string): Promise<boolean> {
  if (!output.terminal.input || !output.terminal.talk) throw usageFault('Nobody can confirm here: this is no terminal.', otherwise);
  const { confirm } = await import('@inquirer/prompts');
  try {
    return await confirm({ message: question, default: false }, { output: process.stderr });
  } catch (error) {
    if (isPromptEnd(error)) return false;
    throw error;
  }
}

/** Ctrl-C at a prompt, the end of its input, or its question taken back. */
export const isPromptEnd = (error: unknown): boolean => error instanceof Error && ['ExitPromptError', 'AbortPromptError'].includes(error.name);
