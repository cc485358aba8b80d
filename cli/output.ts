import pc from 'picocolors';
import type { KosError } from '#core/errors.ts';
import { visibleLine, visibleText } from './terminal-text.ts';

export type Colours = ReturnType<typeof pc.createColors>;

/** Standard output is data, standard error is talk. `--json` makes data one JSON document, or JSON lines where it streams. */
export interface Output {
  readonly json: boolean;
  /** Whether a person sits at each end. Prompts need input and talk to be terminals. */
  readonly terminal: { input: boolean; data: boolean; talk: boolean };
  readonly dataColours: Colours;
  readonly talkColours: Colours;
  /** A line of data. */
  data(line: string): void;
  /** The one JSON document of this command. */
  document(value: unknown): void;
  /** One JSON value of a stream. */
  jsonLine(value: unknown): void;
  /** A line for people; never data. */
  say(line: string): void;
  fault(error: KosError): void;
}

export function createOutput(options: { json: boolean }): Output {
  // Node leaves `isTTY` undefined where there is no terminal, whatever its types say.
  const terminal = { input: isTerminal(process.stdin), data: isTerminal(process.stdout), talk: isTerminal(process.stderr) };
  const talkColours = pc.createColors(terminal.talk && pc.isColorSupported);
  const writeData = (text: string): void => void process.stdout.write(`${text}\n`);
  const writeTalk = (text: string): void => void process.stderr.write(`${text}\n`);
  return {
    json: options.json,
    terminal,
    dataColours: pc.createColors(terminal.data && pc.isColorSupported),
    talkColours,
    data: writeData,
    document: (value) => writeData(JSON.stringify(value, null, 2)),
    jsonLine: (value) => writeData(JSON.stringify(value)),
    say: writeTalk,
    fault: (error) => writeTalk(options.json ? JSON.stringify(faultDocument(error)) : describeFault(error, talkColours)),
  };
}

const isTerminal = (stream: { isTTY?: boolean }): boolean => stream.isTTY === true;

/** What people read: the message, where in their input it is, then the remedy. */
function describeFault(error: KosError, colours: Colours): string {
  const lines = [`${colours.red('error:')} ${visibleText(error.message)}`];
  for (const detail of error.details) {
    const place = detail.line === undefined ? detail.pointer : `${detail.line}:${detail.column ?? 1}`;
    const suggestion = detail.suggestion === undefined ? '' : ` (${visibleLine(detail.suggestion)})`;
    lines.push(`  ${visibleLine(place === '' ? 'document' : place)}: ${visibleLine(detail.message)}${suggestion}`);
  }
  if (error.fix !== null) lines.push(`${colours.green('fix:')} ${visibleText(error.fix)}`);
  return lines.join('\n');
}

/** What programs read on standard error under `--json`. */
function faultDocument(error: KosError): object {
  const { code, message, fix, status, details, extra } = error;
  return { error: { code, message, fix, status, retryable: error.retryable, details, ...extra } };
}
