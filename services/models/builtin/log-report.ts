import { graver, levelInText, levelNamed, type Level } from './log-level.ts';
import { matchingRules } from './log-rules.ts';
import type { LogCluster } from './subject.ts';
import { shorten } from './words.ts';

/** One paragraph on one kind of log message: level and count, what it says, who says it, what such lines commonly mean, what to look at. */
export function describeCluster(cluster: LogCluster): string {
  const evidence = [cluster.template, ...cluster.examples].join('\n');
  const level = levelNamed(cluster.level ?? '') ?? levelInText(evidence);
  const components = componentsOf(cluster);
  const rules = rulesFor(cluster);
  const sentences = [
    `${headOf(level, cluster.count)}: \`${shorten(cluster.template, 200)}\`${spanOf(cluster)}${filesOf(cluster)}.`,
    exampleOf(cluster),
    components.length === 0 ? '' : `It names ${components.join(', ')}.`,
    ...rules.map((rule) => `By the built-in rule "${rule.name}", such lines commonly mean that ${rule.means}. ${rule.advice}`),
    rules.length === 0 ? noRule(level) : '',
  ];
  return sentences.filter((sentence) => sentence !== '').join(' ');
}

/** By what all lines of the kind have in common: one odd example among many (`triggers for ca-certificates`) explains nothing of the rest. */
function rulesFor({ template, examples }: LogCluster): ReturnType<typeof matchingRules> {
  const common = matchingRules(template);
  if (common.length > 0) return common;
  const [first, ...others] = examples.map(matchingRules);
  return (first ?? []).filter((rule) => others.every((rules) => rules.includes(rule)));
}

/** A raw stretch of log: how much there is of what, then the gravest and most frequent kinds of message. */
export function describeLog(lines: string[], limit: number): string {
  const kinds = groupLines(lines);
  const stated = [...kinds].filter(({ level }) => level !== null && graver(level, 'INFO') < 0);
  const alarming = stated.reduce((sum, { count }) => sum + count, 0);
  const head = `${plural(lines.length, 'line')} of ${plural(kinds.length, 'kind')}; ${alarming === 0 ? 'none states a warning or an error' : `${plural(alarming, 'line')} of level WARN or above`}.`;
  const shown = kinds
    .slice(0, limit)
    .map(({ template, level, count, example }) => describeCluster({ template, level, count, firstSeen: null, lastSeen: null, examples: [example], files: [] }));
  const rest = kinds.length > limit ? [`${plural(kinds.length - limit, 'more kind')} not shown.`] : [];
  return [head, ...shown, ...rest].join('\n');
}

interface LineKind {
  template: string;
  level: Level | null;
  count: number;
  example: string;
}

function groupLines(lines: string[]): LineKind[] {
  const kinds = new Map<string, LineKind>();
  for (const line of lines) {
    const template = maskLine(line);
    const kind = kinds.get(template);
    if (kind === undefined) kinds.set(template, { template, level: levelInText(line), count: 1, example: line });
    else kind.count += 1;
  }
  return [...kinds.values()].sort((a, b) => graver(a.level, b.level) || b.count - a.count);
}

/** What differs between lines of one kind: times, addresses, ids, numbers. */
function maskLine(line: string): string {
  return line
    .trim()
    .replace(/^\S*\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?\s*/, '')
    .replace(/^\w{3} +\d+ \d\d:\d\d:\d\d\s+/, '')
    .replace(/\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/gi, '<*>')
    .replace(/\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b/gi, '<*>')
    .replace(/\d+(?:[.:]\d+)*/g, '<*>');
}

function headOf(level: Level | null, count: number | null): string {
  const name = level ?? 'No level stated';
  if (count === null) return name;
  return count === 1 ? `${name}, once` : `${name}, ${count} times`;
}

function spanOf({ firstSeen, lastSeen }: LogCluster): string {
  if (firstSeen === null || lastSeen === null) return '';
  return firstSeen === lastSeen ? `, at ${firstSeen}` : `, from ${firstSeen} to ${lastSeen}`;
}

function filesOf({ files }: LogCluster): string {
  if (files.length === 0) return '';
  return files.length === 1 ? `, in ${files[0]}` : `, in ${files.length} files (${files[0]} …)`;
}

/** Only where the template hides something that a reader may want to search for. */
function exampleOf({ template, examples: [example] }: LogCluster): string {
  if (example === undefined || template.search(placeholder) === -1) return '';
  return `For example: \`${shorten(example, 200)}\`.`;
}

function noRule(level: Level | null): string {
  const grave = level !== null && graver(level, 'INFO') < 0;
  return grave
    ? 'No built-in rule knows this message; its level alone says that it deserves a look.'
    : 'No built-in rule knows this message, and nothing in it sounds an alarm.';
}

const levelOrTime =
  /^(?:fatal|panic|error|err|warn|warning|info|notice|debug|trace|log|level|time|msg|message|timestamp|pid|hostname|utc|null|true|false|undefined)$/;

/** What differs from line to line, as log tools write it: `<*>`, `<path>`, `<num>`. */
const placeholder = /<[\w*]+>/g;

/** Names of parts of a system, where the form of the line shows that they are names: `name[pid]:`, `[name]`, `LEVEL name:`, `service=name`, dotted and dashed names of the template. */
function componentsOf({ template, examples }: LogCluster): string[] {
  const masked = template.replace(placeholder, ' ');
  const text = [masked, ...examples.slice(0, 1)].join('\n').replace(/\d{4}-\d\d-\d\d\S*/g, ' ');
  const names = [
    ...text.matchAll(/(?:^|\s)([A-Za-z][\w.-]+)\[[\d\s]*\]:/g),
    ...text.matchAll(/\[([A-Za-z][\w.-]+)\]/g),
    ...text.matchAll(/(?:^|[A-Z]{4,5}\s+)([a-z][\w.-]*):\s/gm),
    ...text.matchAll(/\b(?:logger|service|component|module|name|part|app|unit|container)["']?\s*[=:]\s*["']?([\w.-]+)/gi),
    ...masked.matchAll(/\b([a-z]\w*(?:[.-][a-zA-Z]\w*)+)\b/g),
  ].map((match) => match[1] ?? '');
  return [...new Set(names)].filter((name) => name.length > 1 && !levelOrTime.test(name.toLowerCase())).slice(0, 3);
}

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
