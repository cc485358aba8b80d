import { CommanderError } from 'commander';
import { exitCodeOfError, exitCodes } from './exit-codes.ts';
import { asKosError } from './faults.ts';
import { createInvocation } from './invocation.ts';
import { buildProgram } from './program.ts';

const words = process.argv.slice(2);

// A reader that has seen enough (`kai run list | head -1`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok);
  throw error;
});

process.exitCode = await main();

async function main(): Promise<number> {
  let wantsJson = words.includes('--json');
  const invocation = createInvocation(() => wantsJson);
  try {
    if (words.length === 1 && (words[0] === '--version' || words[0] === '-v')) words[0] = 'version';
    const program = await buildProgram(words, invocation);
    program.hook('preAction', () => {
      wantsJson = program.opts<{ json?: boolean }>().json === true;
    });
    await program.parseAsync(words, { from: 'user' });
    return invocation.exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    }
    const error = asKosError(thrown);
    invocation.output.fault(error);
    return exitCodeOfError(error);
  }
}
