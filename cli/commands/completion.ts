import type { Argument, Command, Option } from 'commander';
import type { Invocation } from '../invocation.ts';

const shells = ['bash', 'zsh', 'fish'] as const;

/** `wholeProgram`: with every group's commands, which a usual start does not load. */
export function defineCompletion(completion: Command, invocation: Invocation, wholeProgram: () => Promise<Command>): void {
  completion.addHelpText(
    'after',
    `
Examples:
  bash  eval "$(kai completion bash)"          in ~/.bashrc
  zsh   eval "$(kai completion zsh)"           in ~/.zshrc, after compinit
  fish  kai completion fish | source           in ~/.config/fish/config.fish`,
  );
  for (const shell of shells) {
    completion
      .command(shell)
      .summary(`the completion script for ${shell}`)
      .action(() => invocation.output.data(scripts[shell]));
  }
  completion
    .command('words', { hidden: true })
    .summary('what the scripts ask: candidates for the last of these words')
    .argument('[words...]')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (_words: string[], _options: object, command: Command) => {
      for (const candidate of await complete(invocation, await wholeProgram(), command.args)) invocation.output.data(candidate);
    });
}

/** Each script only asks `kai completion words -- WORDS…` and offers what comes: what completes what is known in one place. */
const scripts: Readonly<Record<(typeof shells)[number], string>> = {
  bash: `_kai() {
  local IFS=$'\\n'
  COMPREPLY=($("\${COMP_WORDS[0]}" completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  if [ "\${#COMPREPLY[@]}" -eq 0 ]; then compopt -o default 2>/dev/null; fi
}
complete -F _kai kai`,
  zsh: `_kai() {
  local -a candidates
  candidates=("\${(@f)$("\${words[1]}" completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${candidates[1]}" ]]; then compadd -a candidates; else _files; fi
}
compdef _kai kai`,
  fish: `function __kai_complete
  set -l words (commandline -opc) (commandline -ct)
  kai completion words -- $words[2..-1] 2>/dev/null
end
complete -c kai -f -a '(__kai_complete)'`,
};

/** Candidates that begin as the last word does: subcommands, options, and ids or names that the server knows. */
async function complete(invocation: Invocation, program: Command, words: string[]): Promise<string[]> {
  const current = words.at(-1) ?? '';
  const { command, positional } = descend(program, words.slice(0, -1));
  return (await candidatesFor(invocation, program, command, positional, current)).filter((candidate) => candidate.startsWith(current));
}

async function candidatesFor(invocation: Invocation, program: Command, command: Command, positional: number, current: string): Promise<string[]> {
  if (current.startsWith('-'))
    return [...command.options, ...program.options].filter((option: Option) => !option.hidden).map((option) => option.long ?? option.short ?? '');
  const subcommands = command
    .createHelp()
    .visibleCommands(command)
    .map((sub) => sub.name());
  if (subcommands.length > 0 && positional === 0) return subcommands;
  const argument = command.registeredArguments[Math.min(positional, command.registeredArguments.length - 1)];
  return argument === undefined ? [] : await valuesOf(invocation, command, argument);
}

/** The command that the words lead to, and how many of its arguments they give. */
function descend(program: Command, words: string[]): { command: Command; positional: number } {
  let command = program;
  let positional = 0;
  let skip = false;
  for (const word of words) {
    if (skip) {
      skip = false;
      continue;
    }
    if (word.startsWith('-')) {
      const option = [...command.options, ...program.options].find((known) => known.long === word || known.short === word);
      skip = option !== undefined && (option.required || option.optional);
      continue;
    }
    const sub = positional === 0 ? command.commands.find((candidate) => candidate.name() === word) : undefined;
    if (sub === undefined) positional += 1;
    else command = sub;
  }
  return { command, positional };
}

/** Completion must never make a shell wait or complain. */
const patienceMs = 1_500;

async function valuesOf(invocation: Invocation, command: Command, argument: Argument): Promise<string[]> {
  const { promise: tooLate, resolve } = Promise.withResolvers<string[]>();
  const timer = setTimeout(() => resolve([]), patienceMs);
  try {
    const asked = askServer(invocation, command.parent?.name() ?? '', argument.name());
    return await Promise.race([asked.catch(() => []), tooLate]); // no server: nothing to offer
  } finally {
    clearTimeout(timer);
  }
}

async function askServer({ client }: Invocation, group: string, argument: string): Promise<string[]> {
  switch (`${group} ${argument}`) {
    case 'run run':
      return ['last', ...(await client.runs.list({ limit: 20 })).items.map((run) => run.id)];
    case 'run plan':
    case 'plan plan':
      return (await client.plans.list({ limit: 200 })).items.map((plan) => plan.name);
    case 'approval id':
      return (await client.approvals.list({ limit: 20, status: 'open' })).items.map((approval) => approval.id);
    case 'rule name':
      return (await client.rules.list()).items.map((rule) => rule.name);
    case 'artifact id':
      return ['last', ...(await client.artifacts.list({ limit: 20 })).items.map((artifact) => artifact.id)];
    case 'secret name':
      return (await client.secrets.list({ limit: 200 })).items.map((secret) => secret.name);
    case 'settings list':
      return ['roots', 'egress'];
    default:
      return [];
  }
}
