/** Severity words, gravest first. */
export const levels = ['FATAL', 'ERROR', 'WARN', 'INFO', 'DEBUG'] as const;
export type Level = (typeof levels)[number];

const levelWords: Record<Level, RegExp> = {
  FATAL: /\b(?:FATAL|PANIC|EMERG(?:ENCY)?|ALERT|CRIT(?:ICAL)?)\b/,
  ERROR: /\b(?:ERROR|ERR|SEVERE)\b/,
  WARN: /\b(?:WARN(?:ING)?)\b/,
  INFO: /\b(?:INFO|NOTICE|LOG)\b/,
  DEBUG: /\b(?:DEBUG|TRACE|VERBOSE|FINE)\b/,
};

/** Numbers as pino and bunyan write them: 10 trace … 60 fatal. */
const numberedLevels: Record<string, Level> = { '10': 'DEBUG', '20': 'DEBUG', '30': 'INFO', '40': 'WARN', '50': 'ERROR', '60': 'FATAL' };

/** A level as a field says it, whatever its spelling; null when it names none. */
export function levelNamed(value: unknown): Level | null {
  const text = String(value).trim().toUpperCase();
  return numberedLevels[text] ?? levels.find((level) => levelWords[level].test(text)) ?? null;
}

/**
 * The level that a line of log states: as a JSON field, as a word in capitals or between brackets, or as a word before a colon. Words inside prose
 * (`no error`) state nothing.
 */
export function levelInText(text: string): Level | null {
  const field = /["']?(?:level|severity|lvl)["']?\s*[:=]\s*["']?(\w+)/i.exec(text)?.[1];
  const bracketed = /[[<(](fatal|panic|crit(?:ical)?|error|err|warn(?:ing)?|info|notice|debug|trace)[\])>]/i.exec(text)?.[1];
  const prefixed = /(?:^|[\s\]])(fatal|panic|critical|error|warn(?:ing)?|info|notice|debug|trace)\s?:/i.exec(text)?.[1];
  const stated = field ?? bracketed ?? prefixed;
  const named = stated === undefined ? null : levelNamed(stated);
  if (named !== null) return named;
  return levels.find((level) => levelWords[level].test(text)) ?? null;
}

export const graver = (a: Level | null, b: Level | null): number => rank(a) - rank(b);

const rank = (level: Level | null): number => (level === null ? levels.length : levels.indexOf(level));
