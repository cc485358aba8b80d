import { type LogLevel, levelOfText, levelOfValue } from '#services/tools/log/level.ts';

/** What one line says, however it is written. */
export interface LogRecord {
  level: LogLevel;
  /** Without the time stamp at its start. */
  message: string;
  /** The line's own time as written, unparsed; null when it has none. */
  time: string | number | null;
}

const messageMembers = ['msg', 'message', 'event', 'log', 'text', 'MESSAGE'];
const levelMembers = ['level', 'severity', 'lvl', 'levelname', 'log.level', 'loglevel'];
const timeMembers = ['time', 'ts', 'timestamp', '@timestamp', 'datetime', 'date'];

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

function firstMember(record: Record<string, unknown>, names: readonly string[]): unknown {
  for (const name of names) {
    const value = record[name];
    if (value !== undefined && value !== null) return value;
  }
  return undefined;
}

/** The message of an error object, as loggers nest it under `err` or `error`. */
function nestedError(record: Record<string, unknown>): string | null {
  const error = record.err ?? record.error;
  if (typeof error === 'string') return error;
  return isObject(error) && typeof error.message === 'string' ? error.message : null;
}

function structuredRecord(record: Record<string, unknown>, line: string): LogRecord {
  const written = firstMember(record, messageMembers);
  const error = nestedError(record);
  const text = typeof written === 'string' ? written.trimEnd() : null;
  const message = text === null ? (error ?? line) : error === null || error === text ? text : `${text}: ${error}`;
  const time = firstMember(record, timeMembers);
  return {
    level: levelOfValue(firstMember(record, levelMembers)) ?? levelOfText(text ?? error ?? ''),
    message: splitTime(message).message,
    time: typeof time === 'string' || typeof time === 'number' ? time : null,
  };
}

/** Time stamps at a line's start: ISO 8601 and its looser relatives, syslog, klog. */
const isoStart = /^[[(]?(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:\s?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?)[\])]?[\s:,-]*/;
const syslogStart = /^((?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+\d{1,2} \d\d:\d\d:\d\d)\s+/;
const klogStart = /^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+\s+/;

function splitTime(line: string): { time: string | null; message: string } {
  const stamp = isoStart.exec(line) ?? syslogStart.exec(line);
  if (stamp !== null) return { time: stamp[1] ?? null, message: line.slice(stamp[0].length) };
  const klog = klogStart.exec(line);
  return { time: null, message: klog === null ? line : line.slice(klog[0].length) };
}

export function readRecord(line: string): LogRecord {
  if (line.startsWith('{') && line.trimEnd().endsWith('}')) {
    const parsed = parseObject(line);
    if (parsed !== null) return structuredRecord(parsed, line);
  }
  const { time, message } = splitTime(line);
  return { level: levelOfText(line), message, time };
}

function parseObject(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : null;
  } catch {
    return null; // looks like JSON and is not: read as plain text
  }
}

/** Milliseconds since 1970 of a line's own time, or null. Syslog stamps lack the year: the latest one not after `fileModifiedMs` (plus a day of clock error) is meant. */
export function timeToMs(time: string | number, fileModifiedMs: number): number | null {
  if (typeof time === 'number') return time < 1e11 ? time * 1000 : time;
  const isSyslog = /^[A-Z]/.test(time);
  const year = new Date(fileModifiedMs).getFullYear();
  const normal = isSyslog
    ? `${time} ${year}`
    : time
        .replaceAll('/', '-')
        .replace(',', '.')
        .replace(/\s?(?:UTC|GMT)$/, 'Z')
        .replace(/\s(?=[+-]\d\d:?\d\d$)/, '');
  const parsed = Date.parse(normal);
  if (Number.isNaN(parsed)) return null;
  const tooLate = isSyslog && parsed > fileModifiedMs + 86_400_000;
  return tooLate ? Date.parse(`${time} ${year - 1}`) : parsed;
}

/** Lines that belong to the entry before them: frames of a stack trace and its causes. */
export const isContinuation = (line: string): boolean => /^(?:\s+at |\s+\.\.\. \d+ more|Caused by: |\s+File ".+", line \d+)/.test(line);
