import type { Calendar } from '#schemas/schedule.ts';

export interface CronFault {
  message: string;
}

interface Field {
  name: keyof Calendar;
  label: string;
  from: number;
  to: number;
  words?: readonly string[];
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

const fields: readonly Field[] = [
  { name: 'minute', label: 'minute', from: 0, to: 59 },
  { name: 'hour', label: 'hour', from: 0, to: 23 },
  { name: 'dayOfMonth', label: 'day of month', from: 1, to: 31 },
  { name: 'month', label: 'month', from: 1, to: 12, words: months },
  // 7 is Sunday, too.
  { name: 'dayOfWeek', label: 'day of week', from: 0, to: 7, words: days },
];

const shorthands: Record<string, string> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

class Malformed extends Error {}

/** Five fields in place of a word; null: no such word. */
export const expandCron = (line: string): string | null => {
  const text = line.trim().toLowerCase();
  return text.startsWith('@') ? (shorthands[text] ?? null) : text;
};

/**
 * A cron line as calendars, so that it means the same wherever it is computed. As in cron itself, a line that bounds both the day of month and the day of week
 * means either: two calendars.
 */
export function readCron(line: string): { calendars: Calendar[] } | { fault: CronFault } {
  const text = expandCron(line);
  if (text === null) return { fault: { message: `${line} is not known: ${Object.keys(shorthands).join(', ')} are.` } };
  const parts = text.split(/\s+/);
  if (parts.length !== 5) return { fault: { message: `"${line}" has ${parts.length} fields; cron has five: minute, hour, day of month, month, day of week.` } };
  try {
    const [minute, hour, dayOfMonth, month, dayOfWeek] = fields.map((field, index) => readField(field, parts[index] ?? ''));
    const always = { ...minute, ...hour, ...month };
    const isEither = !/^[*?]/.test(parts[2] ?? '') && !/^[*?]/.test(parts[4] ?? '');
    return {
      calendars: isEither
        ? [
            { ...always, ...dayOfMonth },
            { ...always, ...dayOfWeek },
          ]
        : [{ ...always, ...dayOfMonth, ...dayOfWeek }],
    };
  } catch (error) {
    if (error instanceof Malformed) return { fault: { message: `"${line}": ${error.message}` } };
    throw error;
  }
}

/** Absent from the calendar where it matches everything and absence means so. */
function readField(field: Field, text: string): Calendar {
  const isDay = field.name === 'dayOfMonth' || field.name === 'month' || field.name === 'dayOfWeek';
  if (isDay && (text === '*' || text === '?')) return {};
  const numbers = text.split(',').flatMap((part) => readPart(field, part));
  const wrapped = field.name === 'dayOfWeek' ? numbers.map((number) => number % 7) : numbers;
  return { [field.name]: [...new Set(wrapped)].toSorted((one, other) => one - other) };
}

function readPart(field: Field, part: string): number[] {
  const [range = '', step, more] = part.split('/');
  const every = step === undefined ? 1 : Number(step);
  if (more !== undefined || !Number.isInteger(every) || every < 1 || step === '')
    throw new Malformed(`the step of ${field.label} in "${part}" is not a whole number from 1 on.`);
  const [from, to] = readRange(field, range, step !== undefined);
  const numbers: number[] = [];
  for (let number = from; number <= to; number += every) numbers.push(number);
  return numbers;
}

function readRange(field: Field, text: string, hasStep: boolean): [number, number] {
  const last = field.name === 'dayOfWeek' ? 6 : field.to;
  if (text === '*' || text === '?') return [field.from, last];
  const [low = '', high, more] = text.split('-');
  const from = readNumber(field, low);
  if (more !== undefined) throw new Malformed(`"${text}" is no range of ${field.label}.`);
  if (high === undefined) return [from, hasStep ? last : from];
  const to = readNumber(field, high);
  if (to < from) throw new Malformed(`the range "${text}" of ${field.label} goes backwards.`);
  return [from, to];
}

function readNumber({ label, from, to, words }: Field, text: string): number {
  const word = words?.indexOf(text.slice(0, 3)) ?? -1;
  if (word >= 0 && /^[a-z]{3}$/.test(text)) return words === months ? word + 1 : word;
  const number = Number(text);
  if (/^\d{1,2}$/.test(text) && number >= from && number <= to) return number;
  throw new Malformed(`"${text}" is no ${label}: ${from} to ${to}${words === undefined ? '' : ` or ${words[0] ?? ''}, ${words[1] ?? ''} …`}.`);
}
