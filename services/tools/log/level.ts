/** Severities, most severe first. `unknown`: the line does not say and its words give no hint. */
export const logLevels = ['fatal', 'error', 'warn', 'info', 'unknown', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Lower is more severe. */
export const severityRank = (level: LogLevel): number => logLevels.indexOf(level);

const byWord: Record<string, LogLevel> = {
  emerg: 'fatal',
  emergency: 'fatal',
  alert: 'fatal',
  crit: 'fatal',
  critical: 'fatal',
  fatal: 'fatal',
  panic: 'fatal',
  dpanic: 'fatal',
  severe: 'error',
  error: 'error',
  err: 'error',
  eror: 'error',
  warning: 'warn',
  warn: 'warn',
  wrn: 'warn',
  notice: 'info',
  info: 'info',
  information: 'info',
  inf: 'info',
  log: 'info',
  hint: 'info',
  detail: 'info',
  statement: 'info',
  debug: 'debug',
  dbg: 'debug',
  fine: 'debug',
  trace: 'debug',
  verbose: 'debug',
};

/** Level names in capitals anywhere near the start, or in any case where they are marked as a level: `[error]`, `<warn>`, `level=info`, `error:`. */
const capitalWord =
  /\b(?:EMERG(?:ENCY)?|ALERT|CRIT(?:ICAL)?|FATAL|PANIC|SEVERE|ERR(?:OR)?|WARN(?:ING)?|NOTICE|INFO|LOG|HINT|DETAIL|STATEMENT|DEBUG|TRACE|FINE|VERBOSE)\b/;
const markedWord =
  /(?:[[<(]|\b(?:level|lvl|severity)\s?[=:]\s?"?)(emerg|alert|crit|critical|fatal|panic|severe|error|err|warning|warn|notice|info|debug|trace)\b|^(?:\S+ )?(fatal|panic|error|warning|warn|info|debug):/i;
/** Kubernetes' log header: a letter and month-day, `E0520`. */
const klogHeader = /^([IWEF])\d{4} \d\d:\d\d:\d\d/;
const klogLevels: Record<string, LogLevel> = { I: 'info', W: 'warn', E: 'error', F: 'fatal' };
/** Words that stand alone: `libgpg-error-dev` is a package, not an error. */
const errorHint = /(?<![\w-])(?:error|exception|traceback|segfault|panicked|oom-killer|out of memory)(?![\w-])/i;
const warningHint = /(?<![\w-])(?:failed|failure|timed out|timeout|refused|denied|deprecated|unreachable)(?![\w-])/i;

/** How far into a line a level may stand: past it, words belong to the message. */
const searchedCharacters = 160;

export function levelOfText(line: string): LogLevel {
  const start = line.slice(0, searchedCharacters);
  const capital = capitalWord.exec(start)?.[0];
  if (capital !== undefined) return byWord[capital.toLowerCase()] ?? 'unknown';
  const marked = markedWord.exec(start);
  const word = marked?.[1] ?? marked?.[2];
  if (word !== undefined) return byWord[word.toLowerCase()] ?? 'unknown';
  const klog = klogHeader.exec(start)?.[1];
  if (klog !== undefined) return klogLevels[klog] ?? 'unknown';
  if (errorHint.test(start)) return 'error';
  return warningHint.test(start) ? 'warn' : 'unknown';
}

/** A level member of a structured record: a word, or pino's and bunyan's numbers (10 trace … 60 fatal). */
export function levelOfValue(value: unknown): LogLevel | null {
  if (typeof value === 'string') return byWord[value.trim().toLowerCase()] ?? null;
  if (typeof value !== 'number') return null;
  if (value >= 60) return 'fatal';
  if (value >= 50) return 'error';
  if (value >= 40) return 'warn';
  return value >= 30 ? 'info' : 'debug';
}
