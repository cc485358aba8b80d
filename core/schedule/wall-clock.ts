/** What a clock in one time zone shows. Instants are ms since 1970; a local time is the same number, read as if the clock stood in UTC. */
export interface WallClock {
  /** How far the clock is ahead of UTC at an instant, ms. */
  offsetAt(atMs: number): number;
  /** The instant at which the clock shows a local time: of two one of them; of none, where the clock goes forward over it, one nearby. */
  instantOf(localMs: number): number;
}

const formatters = new Map<string, Intl.DateTimeFormat>();

const formatterFor = (timeZone: string): Intl.DateTimeFormat => {
  const known = formatters.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'iso8601',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  formatters.set(timeZone, made);
  return made;
};

export function isTimeZone(name: string): boolean {
  try {
    formatterFor(name);
    // Offsets such as +02:00 are zones to Intl, and not to Temporal.
    return !/^[+-]/.test(name);
  } catch {
    return false;
  }
}

export function wallClock(timeZone: string): WallClock {
  const formatter = formatterFor(timeZone);
  const offsetAt = (atMs: number): number => {
    const part: Record<string, number> = {};
    for (const { type, value } of formatter.formatToParts(atMs)) part[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(atMs / 1_000) * 1_000;
  };
  return {
    offsetAt,
    // As Go's time.Date does, by which Temporal computes: of a time that the clock shows twice it takes the same one.
    instantOf(localMs) {
      const guess = offsetAt(localMs);
      const again = offsetAt(localMs - guess);
      return localMs - (again === guess ? guess : again);
    },
  };
}
