import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';

/** One import as it is written: `import`, `export … from`, `import()`, or `import('x').T` in a type. */
export interface WrittenImport {
  specifier: string;
  /** Nothing of it is left at run time. */
  typeOnly: boolean;
  /** 1-based. */
  line: number;
}

export type ImportTarget =
  | { kind: 'file'; path: string }
  | { kind: 'builtin'; name: string }
  | { kind: 'package'; name: string }
  | { kind: 'missing'; specifier: string };

export interface ImportEdge extends WrittenImport {
  from: string;
  to: ImportTarget;
}

const builtins = new Set(builtinModules);

/** Every import that a file writes; a sentence instead when the file does not parse. */
export function readImports(path: string, source: string): WrittenImport[] | string {
  const parsed = parseSync(path, source);
  const broken = parsed.errors.find((error) => error.severity === 'Error');
  if (broken !== undefined) {
    return `${path} does not parse: ${broken.message}`;
  }
  const lineOf = (offset: number): number => source.slice(0, offset).split('\n').length;
  const imports: WrittenImport[] = parsed.module.staticImports.map((written) => ({
    specifier: written.moduleRequest.value,
    typeOnly: written.entries.length > 0 && written.entries.every((entry) => entry.isType),
    line: lineOf(written.start),
  }));
  for (const written of parsed.module.staticExports) {
    const entries = written.entries.filter((entry) => entry.moduleRequest !== null);
    const first = entries[0]?.moduleRequest;
    if (first) {
      imports.push({ specifier: first.value, typeOnly: entries.every((entry) => entry.isType), line: lineOf(written.start) });
    }
  }
  new Visitor({
    ImportExpression(node) {
      if (node.source.type === 'Literal' && typeof node.source.value === 'string') {
        imports.push({ specifier: node.source.value, typeOnly: false, line: lineOf(node.start) });
      }
    },
    TSImportType(node) {
      imports.push({ specifier: node.source.value, typeOnly: true, line: lineOf(node.start) });
    },
  }).visit(parsed.program);
  return imports;
}

/** `imports` of package.json, e.g. `'#core/*': './core/*'`. */
export type SubpathImports = Record<string, string>;

export function resolveImport(from: string, specifier: string, files: ReadonlySet<string>, subpaths: SubpathImports): ImportTarget {
  const path = pathInProject(from, specifier, subpaths);
  if (path !== null) {
    return files.has(path) ? { kind: 'file', path } : { kind: 'missing', specifier };
  }
  if (specifier.startsWith('#')) {
    return { kind: 'missing', specifier };
  }
  if (specifier.startsWith('node:') || builtins.has(specifier)) {
    return { kind: 'builtin', name: specifier.replace(/^node:/, '') };
  }
  const segments = specifier.split('/');
  return { kind: 'package', name: segments.slice(0, specifier.startsWith('@') ? 2 : 1).join('/') };
}

function pathInProject(from: string, specifier: string, subpaths: SubpathImports): string | null {
  if (specifier.startsWith('.')) {
    return posix.join(posix.dirname(from), specifier);
  }
  for (const [pattern, target] of Object.entries(subpaths)) {
    if (pattern === specifier) {
      return posix.normalize(target);
    }
    const prefix = pattern.slice(0, -1);
    if (pattern.endsWith('*') && specifier.startsWith(prefix)) {
      return posix.normalize(target.replace('*', specifier.slice(prefix.length)));
    }
  }
  return null;
}

export interface ImportGraph {
  edges: ImportEdge[];
  /** One sentence per file that does not parse. */
  unread: string[];
}

export function buildImportGraph(sources: ReadonlyMap<string, string>, allFiles: ReadonlySet<string>, subpaths: SubpathImports): ImportGraph {
  const graph: ImportGraph = { edges: [], unread: [] };
  for (const [from, source] of sources) {
    const imports = readImports(from, source);
    if (typeof imports === 'string') {
      graph.unread.push(imports);
    } else {
      graph.edges.push(...imports.map((written) => ({ ...written, from, to: resolveImport(from, written.specifier, allFiles, subpaths) })));
    }
  }
  return graph;
}

/**
 * One circle for each group of files that import one another, as a path that ends where it began; types count too, for a circle of types is a circle of
 * ideas. Groups by Tarjan's strongly connected components (SIAM J. Comput. 1972).
 */
export function findCycles(edges: readonly ImportEdge[]): string[][] {
  const targets = new Map<string, Set<string>>();
  for (const edge of edges) {
    if (edge.to.kind === 'file') {
      targets.set(edge.from, (targets.get(edge.from) ?? new Set()).add(edge.to.path));
    }
  }
  return connectedGroups(targets).map((group) => shortestCircle(group, targets));
}

function connectedGroups(targets: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const order = new Map<string, number>();
  const open: string[] = [];
  const groups: string[][] = [];
  const visit = (file: string): number => {
    const index = order.size;
    let lowest = index;
    order.set(file, index);
    open.push(file);
    for (const target of targets.get(file) ?? []) {
      if (!order.has(target)) {
        lowest = Math.min(lowest, visit(target));
      } else if (open.includes(target)) {
        lowest = Math.min(lowest, order.get(target) ?? lowest);
      }
    }
    if (lowest === index) {
      const group = open.splice(open.indexOf(file));
      if (group.length > 1 || targets.get(file)?.has(file)) {
        groups.push(group);
      }
    }
    return lowest;
  };
  for (const file of targets.keys()) {
    if (!order.has(file)) {
      visit(file);
    }
  }
  return groups;
}

/** Breadth first from the group's first file back to itself: the shortest way round is the easiest to read. */
function shortestCircle(group: readonly string[], targets: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const start = [...group].sort()[0] as string;
  const paths: string[][] = [[start]];
  const seen = new Set<string>();
  for (let path = paths.shift(); path !== undefined; path = paths.shift()) {
    for (const next of targets.get(path.at(-1) as string) ?? []) {
      if (next === start) {
        return [...path, start];
      }
      if (group.includes(next) && !seen.has(next)) {
        seen.add(next);
        paths.push([...path, next]);
      }
    }
  }
  return [...group];
}
