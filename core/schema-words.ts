import type { z } from 'zod';
import type { FaultDetail } from '#core/errors.ts';
import { escapePointer } from '#core/expression/template.ts';

type Issue = z.core.$ZodIssue;
type RawIssue = z.core.$ZodRawIssue;

/** What is said of a value that is not there. */
export const missing = 'is missing';

/**
 * What a schema finds wrong, in words for who wrote the value and never saw the schema: `safeParse(value, { error: inPlainWords })`. What a schema says in
 * words of its own stays. Numbers are repeated, texts are not: they may be secrets.
 */
export const inPlainWords = (issue: RawIssue): string => {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? missing : wrongType(issue);
    case 'too_small':
      return bounded(issue, Number(issue.minimum), 'at least', 'more than');
    case 'too_big':
      return bounded(issue, Number(issue.maximum), 'at most', 'less than');
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'invalid_value':
      return issue.input === undefined ? missing : wrongValue(issue);
    case 'invalid_format':
      return wrongFormat(issue);
    case 'unrecognized_keys':
      return `knows no ${issue.keys.map(quoted).join(', ')}`;
    case 'invalid_union':
      return issue.input === undefined ? missing : 'has no form that is allowed here';
    case 'invalid_key':
      return 'holds a name that is not allowed here';
    case 'invalid_element':
    case 'custom':
      return 'is not valid';
  }
};

const quoted = (value: unknown): string => (typeof value === 'string' ? `"${value}"` : String(value));

const typeWords: Readonly<Record<string, string>> = {
  array: 'a list',
  boolean: 'true or false',
  int: 'a whole number',
  null: 'null',
  number: 'a number',
  object: 'an object',
  string: 'text',
};

/** What JSON calls a value. */
function givenType(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeWords[typeof value] ?? typeof value;
}

function wrongType({ expected, input }: Extract<RawIssue, { code: 'invalid_type' }>): string {
  if (expected === 'record') return `is a map of names, not ${givenType(input)}`;
  const wanted = `must be ${typeWords[expected] ?? expected}`;
  // What a text that is no number becomes where a number is read from text: in a query.
  return Number.isNaN(input) ? wanted : `${wanted}, not ${givenType(input)}`;
}

/** Of a value of another type than theirs its type is said, too: see `singleIssuesOf`. */
function wrongValue({ values, input }: Extract<RawIssue, { code: 'invalid_value' }>): string {
  const wanted = `must be ${values.length === 1 ? '' : 'one of '}${values.map(quoted).join(', ')}`;
  return values.some((value) => jsonType(value) === jsonType(input)) ? wanted : `${wanted}, not ${givenType(input)}`;
}

const jsonType = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);

const units: Readonly<Record<string, readonly [one: string, many: string]>> = {
  string: ['character', 'characters'],
  array: ['entry', 'entries'],
  set: ['entry', 'entries'],
  map: ['entry', 'entries'],
  object: ['entry', 'entries'],
};

function bounded(issue: Extract<RawIssue, { code: 'too_small' | 'too_big' }>, bound: number, inclusive: string, exclusive: string): string {
  const unit = units[issue.origin];
  if (unit === undefined) {
    return `must be ${issue.inclusive === false ? exclusive : inclusive} ${bound}${typeof issue.input === 'number' ? `, not ${issue.input}` : ''}`;
  }
  if (issue.code === 'too_small' && bound === 1) return 'must not be empty';
  return `must have ${issue.inclusive === false ? exclusive : inclusive} ${bound} ${unit[bound === 1 ? 0 : 1]}`;
}

const formats: Readonly<Record<string, string>> = {
  base64: 'base64',
  base64url: 'base64url',
  datetime: 'an instant, as in 2031-01-31T09:00:00Z',
  email: 'an e-mail address',
  json_string: 'JSON',
  url: 'a URL',
  uuid: 'a UUID',
};

function wrongFormat({ format, pattern, prefix, suffix }: Extract<RawIssue, { code: 'invalid_format' }>): string {
  if (format === 'starts_with') return `must begin with "${String(prefix)}"`;
  if (format === 'ends_with') return `must end in "${String(suffix)}"`;
  const known = formats[format];
  if (known !== undefined) return `must be ${known}`;
  return pattern === undefined ? `must be a ${format}` : `must match ${pattern}`;
}

/** Each thing that is wrong by itself: of a choice of forms, what is wrong with the one that was most likely meant. */
export function singleIssues(error: z.ZodError): Issue[] {
  return error.issues.flatMap(singleIssuesOf);
}

function singleIssuesOf(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  // A form of another type was hardly meant.
  const ofItsType = issue.errors.filter((form) => !form.some(isOfAnotherType));
  const otherTypes = ofItsType.length === 0 ? anyOfTypes(issue.errors) : null;
  if (otherTypes !== null) return [{ ...issue, message: otherTypes }];
  const nearest = (ofItsType.length > 0 ? ofItsType : issue.errors).toSorted((a, b) => a.length - b.length)[0];
  if (nearest === undefined || nearest.length === 0) return [issue];
  return nearest.flatMap((inner) => singleIssuesOf({ ...inner, path: [...issue.path, ...inner.path] }));
}

const otherThan = /^must be (?<wanted>.+), not (?<given>[^"]+)$/;

/** An issue no longer has the value itself; that it is of no type of the values that are allowed is in the words of `wrongValue`. */
const isOfAnotherType = ({ code, path, message }: Issue): boolean =>
  path.length === 0 && (code === 'invalid_type' || (code === 'invalid_value' && otherThan.test(message)));

/** Of a value that is of no form's type: every type that there is a form of. Null: a form says it in words of its own. */
function anyOfTypes(forms: readonly Issue[][]): string | null {
  const said = forms.map(([first]) => otherThan.exec(first?.message ?? '')?.groups);
  const given = said[0]?.['given'];
  if (given === undefined || said.some((groups) => groups === undefined)) return null;
  return `must be ${[...new Set(said.map((groups) => groups?.['wanted']))].join(' or ')}, not ${given}`;
}

export const pointerOf = (path: readonly PropertyKey[], base = ''): string =>
  path.reduce<string>((pointer, key) => `${pointer}/${escapePointer(String(key))}`, base);

/** Of values that stand in no text: a request's body, a tool's input. */
export function faultDetailsOf(error: z.ZodError): FaultDetail[] {
  return singleIssues(error).flatMap((issue) => {
    const pointer = pointerOf(issue.path);
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ pointer: `${pointer}/${escapePointer(key)}`, message: 'is not known here' }));
    return [{ pointer, message: issue.message }];
  });
}
