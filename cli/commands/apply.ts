import { type Command, InvalidArgumentError } from 'commander';
import { type FileKind, fileKinds } from '#schemas/files.ts';
import type { ApplyOptions } from '../files/apply.ts';
import type { Invocation } from '../invocation.ts';

/** As people say them: `plans,schedules`; `members` is what has roles. */
const kindOfWord: Readonly<Record<string, FileKind>> = {
  ...Object.fromEntries(fileKinds.flatMap((kind) => [kind, `${kind}s`].map((word) => [word, kind]))),
  members: 'roles',
  role: 'roles',
};

/** As they are named in help and in refusals. */
export const kindWords = fileKinds.map((kind) => (kind.endsWith('s') ? kind : `${kind}s`)).join(', ');

export function kindsArgument(text: string, before: FileKind[] | undefined): FileKind[] {
  const kinds = text.split(',').map((word) => {
    const kind = Object.hasOwn(kindOfWord, word.trim()) ? kindOfWord[word.trim()] : undefined;
    if (kind === undefined) throw new InvalidArgumentError(`It is a list of ${kindWords}.`);
    return kind;
  });
  return [...new Set([...(before ?? []), ...kinds])];
}

export function defineApply(apply: Command, invocation: Invocation): void {
  apply
    .requiredOption('-f, --file <folder>', 'a folder, with all that is in it, or one file')
    .option('--only <kinds>', `${kindWords}, with commas between: leave the other files out`, kindsArgument)
    .option('--secrets <file>', 'secrets of new triggers (Stripe and Slack make theirs) and addresses of channels, as NAME: SECRET; - for standard input')
    .option('--prune', 'remove what stands in no file, members excepted, of those kinds that the files speak of')
    .option('--dry-run', 'only show what would change: exit code 9 if something would, 0 if nothing')
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      `
Examples:
  kai export kos                    write what is there as files
  kai apply -f kos --dry-run        what would change? exit code 0: nothing, 9: something
  kai apply -f kos --yes            change it

Secrets stand in no file. What is there keeps its secret. For a new trigger or webhook one is made and shown once; that of a new trigger may be given: --secrets FILE.
The address of a new channel must be`,
    )
    .action(async (options: ApplyOptions) => {
      const { applyFiles } = await import('../files/apply.ts');
      await applyFiles(invocation, options);
    });
}
