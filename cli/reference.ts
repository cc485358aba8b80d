import type { Command, Option } from 'commander';
import { createInvocation } from './invocation.ts';
import { buildWholeProgram } from './program.ts';

/** Every command with its arguments and options, as Markdown: `documentation/kai-options.md`. */
export async function describeCommands(): Promise<string> {
  const program = await buildWholeProgram(createInvocation(() => false));
  const groups = visible(program).flatMap((group) => [`## ${group.name()}`, ...describe(group, ['kai'])]);
  return `${[
    '# kai: every command, every option',
    'Written by `node scripts/generate-kai-reference.ts`. What the commands are for: [kai.md](kai.md).',
    `Every command knows these:\n\n${program.options.map(optionLine).join('\n')}`,
    ...groups,
  ].join('\n\n')}\n`;
}

/** A command that does something by itself, and those below it. */
function describe(command: Command, parents: readonly string[]): string[] {
  const path = [...parents, command.name()];
  const below = visible(command);
  const acts = below.length === 0 || command.options.length > 0 || command.registeredArguments.length > 0;
  return [...(acts ? [describeOne(command, path)] : []), ...below.flatMap((sub) => describe(sub, path))];
}

function describeOne(command: Command, path: readonly string[]): string {
  const synopsis = [...path, ...command.registeredArguments.map((argument) => argumentText(argument.name(), argument.required, argument.variadic))].join(' ');
  const lines = command.options.filter(({ hidden }) => !hidden).map(optionLine);
  return [`\`${synopsis}\`: ${command.summary() || command.description()}`, ...(lines.length === 0 ? [] : [lines.join('\n')])].join('\n\n');
}

function argumentText(name: string, required: boolean, variadic: boolean): string {
  const text = `${name.toUpperCase()}${variadic ? '…' : ''}`;
  return required ? text : `[${text}]`;
}

function optionLine({ flags, description, mandatory, argChoices }: Option): string {
  const choices = argChoices === undefined ? '' : ` One of ${argChoices.join(', ')}.`;
  return `- \`${flags}\`${mandatory ? ' (needed)' : ''}: ${inOneLine(description)}${choices}`;
}

const inOneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, ' ');

function visible(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((sub) => sub.name() !== 'help');
}
