import { KosError } from '#core/errors.ts';

export interface StartArguments {
  /** Null: as configured. 0 takes a free port. */
  port: number | null;
  help: boolean;
}

export const usage = `Usage: npm start [-- --port N]

  --port N   listen on this port of the loopback address (0 takes a free one; default: KOS_PORT, else 3000)
  --help     this text`;

export function readArguments(words: string[]): StartArguments {
  const found: StartArguments = { port: null, help: false };
  const rest = words.flatMap((word) => (word.startsWith('--port=') ? ['--port', word.slice('--port='.length)] : [word]));
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === '--help' || word === '-h') found.help = true;
    else if (word === '--port') found.port = readPort(rest.shift());
    else throw wrongArgument(`npm start does not know the argument "${word}".`);
  }
  return found;
}

function readPort(word: string | undefined): number {
  const port = Number(word);
  if (word === undefined || !/^\d+$/.test(word) || port > 65_535)
    throw wrongArgument(`--port takes a number from 0 to 65535, not ${word === undefined ? 'nothing' : `"${word}"`}.`);
  return port;
}

function wrongArgument(message: string): KosError {
  return new KosError({ code: 'argument_invalid', message, fix: usage });
}
