import { didYouMean } from '#core/expression/closest-name.ts';
import { parseExpression } from '#core/expression/expression.ts';
import { scanText } from '#core/expression/scan.ts';
import { nodesOf, parsePrompt, type PromptNode } from './syntax.ts';

export interface PromptFault {
  message: string;
  suggestion: string | undefined;
  /** The word in the template that is wrong, where there is one. */
  word: string | undefined;
}

/** Names every template has, besides what it is given. */
export const promptGlobals = ['true', 'false', 'none', 'True', 'False', 'None', 'range', 'namespace', 'raise_exception'] as const;

const filters = new Set(
  (
    'safe tojson list first last length reverse sort join string unique upper lower title capitalize trim indent int float bool abs items default ' +
    'selectattr rejectattr map replace keys values get dictsort'
  ).split(' '),
);

/** Checks a Jinja template against the names it will be given: syntax, unknown variables, unknown filters. */
export function checkPrompt(text: string, variables: string[]): PromptFault[] {
  const misplaced = expressionInPrompt(text);
  const parsed = parsePrompt(text);
  if (!parsed.ok) return [...misplaced, { message: `the template cannot be parsed: ${parsed.message}`, suggestion: undefined, word: undefined }];
  const known = new Set<string>([...variables, ...promptGlobals]);
  const reserved = variables.filter((name) => (promptGlobals as readonly string[]).includes(name) || name === 'loop');
  const faults: PromptFault[] = [
    ...misplaced,
    ...reserved.map((name) => ({
      message: `"${name}" has a meaning of its own in templates`,
      suggestion: 'choose another name under `with`',
      word: undefined,
    })),
  ];
  const names = readNames(parsed.prompt.program);
  for (const name of names.declared) known.add(name);
  for (const name of names.used) {
    if (known.has(name)) continue;
    faults.push({
      message: `the template uses "${name}", which \`with\` does not give it`,
      suggestion: didYouMean(name, variables) ?? `add it: with: { ${name}: … }`,
      word: name,
    });
  }
  for (const name of names.filters) {
    if (!filters.has(name)) faults.push({ message: `there is no filter "${name}"`, suggestion: didYouMean(name, filters), word: name });
  }
  return faults;
}

interface Names {
  used: Set<string>;
  /** Names that the template itself binds anywhere. */
  declared: Set<string>;
  filters: Set<string>;
}

function readNames(program: unknown): Names {
  const names: Names = { used: new Set(), declared: new Set(['loop', 'caller', 'varargs', 'kwargs']), filters: new Set() };
  /** Identifiers that are no variables: names of filters, tests, attributes and keywords. */
  const plainWords = new Set<unknown>();
  for (const node of nodesOf(program)) {
    noteWords(node, names, plainWords);
    if (node.type === 'Identifier' && !plainWords.has(node) && typeof node['value'] === 'string') names.used.add(node['value']);
  }
  return names;
}

function noteWords(node: PromptNode, names: Names, plainWords: Set<unknown>): void {
  switch (node.type) {
    case 'MemberExpression':
      if (node['computed'] !== true) plainWords.add(node['property']);
      return;
    case 'FilterExpression':
    case 'FilterStatement': {
      const filter = node['filter'] as PromptNode;
      const name = filter.type === 'CallExpression' ? (filter['callee'] as PromptNode) : filter;
      plainWords.add(name);
      if (typeof name['value'] === 'string') names.filters.add(name['value']);
      return;
    }
    case 'TestExpression':
      plainWords.add(node['test']);
      return;
    case 'KeywordArgumentExpression':
      plainWords.add(node['key']);
      return;
    case 'For':
      declare(node['loopvar'], names);
      return;
    case 'Set':
      declare(node['assignee'], names);
      return;
    case 'Macro':
      declare(node['name'], names);
      declare(node['args'], names);
      return;
    case 'CallStatement':
      declare(node['callerArgs'], names);
      return;
    default:
      return;
  }
}

/** Names bound by a pattern: a name, a tuple of names, parameters with defaults. */
function declare(pattern: unknown, names: Names): void {
  for (const node of nodesOf(pattern)) {
    if (node.type === 'Identifier' && typeof node['value'] === 'string') names.declared.add(node['value']);
  }
}

/** `${item}` in a prompt would reach the model as it stands; a prompt that only shows such text mentions no data of the plan. */
function expressionInPrompt(text: string): PromptFault[] {
  if (!text.includes('${')) return [];
  const scanned = scanText(text);
  if (!scanned.ok) return [];
  for (const piece of scanned.pieces) {
    if (piece.kind === 'literal') continue;
    const parsed = parseExpression(piece.source);
    if (!parsed.ok || parsed.expression.paths.length === 0) continue;
    const name = parsed.expression.chain?.keys.findLast((key) => typeof key === 'string') ?? 'value';
    return [
      {
        message: `\${${piece.source}} is not evaluated in a prompt`,
        suggestion: `give it by name: with: { ${name}: "\${${piece.source}}" }, and write {{ ${name} }}`,
        word: `\${${piece.source}}`,
      },
    ];
  }
  return [];
}
