import { InvalidArgumentError } from 'commander';

/** Times as people read them. Machines get ISO 8601 from `--json`. */

const units = [
  { name: 'd', seconds: 86_400 },
  { name: 'h', seconds: 3_600 },
  { name: 'min', seconds: 60 },
] as const;

/** 0.35 s, 12 s, 3 min 20 s, 2 h 5 min, 4 d 1 h. */
export function describeDuration(durationMs: number): string {
  const seconds = Math.max(0, durationMs) / 1000;
  if (seconds < 0.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  for (const [index, unit] of units.entries()) {
    if (whole >= unit.seconds) {
      const rest = whole % unit.seconds;
      const smaller = units[index + 1] ?? { name: 's', seconds: 1 };
      const remainder = Math.floor(rest / smaller.seconds);
      const head = `${Math.floor(whole / unit.seconds)} ${unit.name}`;
      return remainder === 0 ? head : `${head} ${remainder} ${smaller.name}`;
    }
  }
  return `${whole} s`;
}

/** "3 min ago", "in 1 h 40 min"; never with seconds beside minutes. */
export function describeInstant(iso: string, now: number): string {
  const differenceMs = Date.parse(iso) - now;
  if (Number.isNaN(differenceMs)) return iso;
  const text = describeRoughly(Math.abs(differenceMs));
  if (text === null) return 'just now';
  return differenceMs < 0 ? `${text} ago` : `in ${text}`;
}

function describeRoughly(durationMs: number): string | null {
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 2) return null;
  const unit = units.find((candidate) => seconds >= candidate.seconds);
  if (unit === undefined) return `${seconds} s`;
  const whole = Math.floor(seconds / unit.seconds);
  // "1 d" for 47 hours would mislead: small numbers of a unit are told with the next smaller one.
  return whole < 3 ? describeDuration(Math.floor(seconds / 60) * 60_000) : `${whole} ${unit.name}`;
}

/** Local wall-clock time of day, for lines of a log. */
export const clockTime = (iso: string): string => new Date(iso).toLocaleTimeString('en-GB', { hour12: false });

export function describeBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(1)} kB`;
  return bytes < 1_000_000_000 ? `${(bytes / 1_000_000).toFixed(1)} MB` : `${(bytes / 1_000_000_000).toFixed(1)} GB`;
}

const secondsOf: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** An instant with its offset, or `+15m`: so long from now. Null: neither. */
export function readInstant(text: string, now: number): string | null {
  const relative = /^\+(\d{1,9})([smhd])$/.exec(text);
  if (relative !== null) return new Date(now + Number(relative[1]) * (secondsOf[relative[2] ?? ''] ?? 0) * 1000).toISOString();
  const absolute = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(absolute) ? null : new Date(absolute).toISOString();
}

/** `90s`, `15m`, `2h`, `1d`, in ms. Null: neither. */
export function readDuration(text: string): number | null {
  const parts = /^(\d{1,9})([smhd])$/.exec(text);
  return parts === null ? null : Number(parts[1]) * (secondsOf[parts[2] ?? ''] ?? 0) * 1000;
}

/** The same as an option's argument. */
export function durationArgument(given: string): number {
  const ms = readDuration(given);
  if (ms === null) throw new InvalidArgumentError('Write it as 0s, 90s, 12h or 1d.');
  return ms;
}
