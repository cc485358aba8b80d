import type { Command } from 'commander';
import type { ExportOptions } from '../files/export.ts';
import type { Invocation } from '../invocation.ts';
import { kindsArgument, kindWords } from './apply.ts';

export function defineExport(command: Command, invocation: Invocation): void {
  command
    .argument('[folder]', 'where to; made if it is not there', 'kos')
    .option('--only <kinds>', `${kindWords}, with commas between`, kindsArgument)
    .option('--overwrite', 'replace files that say something else')
    .addHelpText(
      'after',
      `
A file that says the same already is left as it is, comments included. No secret is written.

Examples:
  kai export kos                               everything
  kai export kos --only plans,schedules        these`,
    )
    .action(async (folder: string, options: ExportOptions) => {
      const { exportFiles } = await import('../files/export.ts');
      await exportFiles(invocation, folder, options);
    });
}
