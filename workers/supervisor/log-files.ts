import { appendFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** 5 files of 10 MB per part: the newest is `<part>.jsonl`, then `<part>.1.jsonl` … `<part>.4.jsonl`. */
const maxBytes = 10_000_000;
const keptFiles = 5;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface PartLog {
  /** A line as a part wrote it: JSON is kept as it is, anything else is wrapped. */
  line: (text: string) => void;
  write: (level: LogLevel, message: string) => void;
}

export interface Logs {
  of: (part: string) => PartLog;
  /** The last words of a part, for a message. */
  recent: (part: string) => string;
}

const recentLines = 30;

/** What to quote of a part that died: from the line that names its error on, which Node follows with frames; else its last lines. */
export function lastWords(lines: string[]): string {
  const at = lines.findLastIndex((line) => /^\s*(\w*Error|FATAL|PANIC|fatal|panic)\b.*:/.test(line) || /(FATAL|PANIC):/.test(line));
  if (at >= 0) return lines.slice(at, at + 3).join('\n');
  return lines.slice(-5).join('\n') || 'it said nothing';
}

export function openLogs(folder: string, onFailure: (message: string) => void): Logs {
  const open = new Map<string, { log: PartLog; recent: string[] }>();
  const find = (part: string): { log: PartLog; recent: string[] } => {
    const known = open.get(part);
    if (known !== undefined) return known;
    const recent: string[] = [];
    const file = openPartLog(folder, part, onFailure);
    const line = (text: string): void => {
      recent.push(text);
      if (recent.length > recentLines) recent.shift();
      file.line(text);
    };
    const made = { log: { ...file, line }, recent };
    open.set(part, made);
    return made;
  };
  return { of: (part) => find(part).log, recent: (part) => lastWords(find(part).recent) };
}

/**
 * Synchronous: lines are few, and the last words of a dying part must be on disk. A full disk must not bring the supervisor down: what
 * cannot be written is told to `onFailure`, once per spell.
 */
export function openPartLog(folder: string, part: string, onFailure: (message: string) => void, limitBytes = maxBytes): PartLog {
  const file = join(folder, `${part}.jsonl`);
  let bytes = sizeOf(file);
  let failing = false;
  const append = (line: string): void => {
    try {
      if (bytes > limitBytes) {
        rotate(folder, part);
        bytes = 0;
      }
      appendFileSync(file, `${line}\n`, { mode: 0o600 });
      bytes += Buffer.byteLength(line) + 1;
      failing = false;
    } catch (error) {
      if (!failing) onFailure(`The log ${file} cannot be written: ${(error as Error).message}.`);
      failing = true;
    }
  };
  const write = (level: LogLevel, message: string): void => append(JSON.stringify({ at: new Date().toISOString(), level, part, message }));
  return { write, line: (text) => (isJsonObject(text) ? append(text) : write(levelOf(text), text)) };
}

function rotate(folder: string, part: string): void {
  const numbered = (number: number): string => join(folder, number === 0 ? `${part}.jsonl` : `${part}.${number}.jsonl`);
  rmSync(numbered(keptFiles - 1), { force: true });
  for (let number = keptFiles - 2; number >= 0; number -= 1) {
    if (sizeOf(numbered(number)) > 0) renameSync(numbered(number), numbered(number + 1));
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function isJsonObject(text: string): boolean {
  if (!text.startsWith('{')) return false;
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

/** Postgres writes `ERROR:`, `FATAL:`, `WARNING:` after its prefix; Node and others begin with such a word. */
function levelOf(text: string): LogLevel {
  if (/\b(FATAL|PANIC|ERROR|Error)\b/.test(text)) return 'error';
  return /\b(WARNING|WARN|Warning)\b/.test(text) ? 'warn' : 'info';
}
