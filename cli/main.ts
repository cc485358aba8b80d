import { CommanderError } from 'commander';
import { exitCodeOfError, exitCodes } from './exit-codes.ts';
import { asKosError } from './faults.ts';
import { createInvocation } from './invocation.ts';
import { buildProgram } from './program.ts';

const words = usualWords(process.argv.slice(2));

// A reader that has seen enough (`kai run list | head -1`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok);
  throw error;
});

// Nobody listens to what is said any more: the work goes on.
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await main();

/** What people type out of habit, as what is meant. */
function usualWords(given: string[]): string[] {
  const [first, ...rest] = given;
  if (first === undefined) return ['--help'];
  if (first === 'help') return [...rest, '--help'];
  return (first === '--version' || first === '-v') && rest.length === 0 ? ['version'] : given;
}

async function main(): Promise<number> {
  let wantsJson = words.includes('--json');
  const invocation = createInvocation(() => wantsJson);
  try {
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
