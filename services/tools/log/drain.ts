import { createHash } from 'node:crypto';
import { type LogLevel, severityRank } from '#services/tools/log/level.ts';

/**
 * Template mining after Drain (P. He, J. Zhu, Z. Zheng, M. R. Lyu: "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017):
 * messages are grouped by their number of words and their first words, then joined to the most similar template of that group. Added to the
 * paper: the level is part of the group, and memory is bounded by forgetting templates that have not been seen for long.
 */
export interface LogCluster {
  level: LogLevel;
  tokens: string[];
  count: number;
  /** 1-based, in the first of `files`. */
  firstLine: number;
  samples: string[];
  files: string[];
}

export interface DrainOptions {
  /** Templates kept at once. */
  capacity: number;
  /** Share of equal words from which two messages are of one template (the paper's `st`). */
  similarity?: number;
}

export interface LogEntry {
  level: LogLevel;
  tokens: string[];
  line: string;
  file: string;
  lineNumber: number;
}

const wildcard = '<*>';
/** The paper's depth 4: level and length, then two words. */
const prefixWords = 2;
/** Words kept apart at one node (the paper's `maxChild`); further ones share the wildcard's branch. */
const maximumBranches = 100;
/** Templates compared in one group, at most. */
const maximumGroup = 100;
const samplesKept = 3;
const filesKept = 10;
const sampleCharacters = 500;

interface Node {
  children: Map<string, Node>;
  clusters: TrackedCluster[];
}

interface TrackedCluster extends LogCluster {
  path: string[];
  /** Position in the order of all lines. */
  lastUsed: number;
}

const newNode = (): Node => ({ children: new Map(), clusters: [] });

/** A copy that does not keep the text alive that it was cut from. */
const detached = (text: string): string => Buffer.from(text, 'utf8').toString('utf8');

/** Share of positions with the same word. A wildcard equals nothing, as in the paper. */
function similarity(template: readonly string[], tokens: readonly string[]): number {
  let same = 0;
  for (let index = 0; index < template.length; index += 1) if (template[index] === tokens[index]) same += 1;
  return template.length === 0 ? 1 : same / template.length;
}

export class Drain {
  readonly #capacity: number;
  readonly #threshold: number;
  readonly #root: Node = newNode();
  /** By level, least recently used first. */
  readonly #recent = new Map<LogLevel, Set<TrackedCluster>>();
  #size = 0;
  #added = 0;
  /** Templates and lines that were forgotten for lack of room. */
  readonly forgotten = { clusters: 0, lines: 0 };

  constructor(options: DrainOptions) {
    this.#capacity = options.capacity;
    this.#threshold = options.similarity ?? 0.5;
  }

  add(entry: LogEntry): void {
    const { path, node } = this.#descend(entry);
    const best = this.#mostSimilar(node, entry.tokens);
    const cluster = best ?? this.#start(entry, path, node);
    if (best !== null) this.#join(best, entry);
    this.#added += 1;
    cluster.lastUsed = this.#added;
    const recent = this.#recentOf(entry.level);
    recent.delete(cluster);
    recent.add(cluster);
  }

  /** All templates kept, most severe first, then most frequent. Ones that have grown equal are joined. */
  clusters(): LogCluster[] {
    const byTemplate = new Map<string, LogCluster>();
    for (const kept of this.#recent.values()) {
      for (const { path: _path, lastUsed: _lastUsed, ...cluster } of kept) {
        const key = clusterId(cluster);
        const twin = byTemplate.get(key);
        if (twin === undefined) byTemplate.set(key, { ...cluster });
        else {
          twin.count += cluster.count;
          twin.files = [...new Set([...twin.files, ...cluster.files])].slice(0, filesKept);
        }
      }
    }
    return [...byTemplate.values()].toSorted(
      (a, b) => severityRank(a.level) - severityRank(b.level) || b.count - a.count || (clusterId(a) < clusterId(b) ? -1 : 1),
    );
  }

  #recentOf(level: LogLevel): Set<TrackedCluster> {
    const known = this.#recent.get(level);
    if (known !== undefined) return known;
    const fresh = new Set<TrackedCluster>();
    this.#recent.set(level, fresh);
    return fresh;
  }

  #descend({ level, tokens }: LogEntry): { path: string[]; node: Node } {
    const path = [`${level} ${tokens.length}`];
    let node = childOf(this.#root, path[0] ?? '');
    for (const token of tokens.slice(0, prefixWords)) {
      const varies = token.includes('<');
      const word = varies || (!node.children.has(token) && node.children.size >= maximumBranches) ? wildcard : token;
      path.push(word);
      node = childOf(node, word);
    }
    return { path, node };
  }

  #mostSimilar(node: Node, tokens: readonly string[]): TrackedCluster | null {
    let best: TrackedCluster | null = null;
    let bestShare = 0;
    for (const cluster of node.clusters) {
      const share = similarity(cluster.tokens, tokens);
      if (share > bestShare) [best, bestShare] = [cluster, share];
    }
    return bestShare >= this.#threshold ? best : null;
  }

  #join(cluster: TrackedCluster, entry: LogEntry): void {
    cluster.count += 1;
    for (let index = 0; index < cluster.tokens.length; index += 1) if (cluster.tokens[index] !== entry.tokens[index]) cluster.tokens[index] = wildcard;
    if (cluster.samples.length < samplesKept) {
      const sample = detached(entry.line.slice(0, sampleCharacters));
      if (!cluster.samples.includes(sample)) cluster.samples.push(sample);
    }
    if (cluster.files.length < filesKept && !cluster.files.includes(entry.file)) cluster.files.push(entry.file);
  }

  #start(entry: LogEntry, path: string[], node: Node): TrackedCluster {
    if (node.clusters.length >= maximumGroup) this.#forget(node.clusters.reduce((oldest, other) => (other.lastUsed < oldest.lastUsed ? other : oldest)));
    else if (this.#size >= this.#capacity) this.#forgetOldest();
    const cluster: TrackedCluster = {
      level: entry.level,
      tokens: detached(entry.tokens.join(' ')).split(' '),
      count: 1,
      firstLine: entry.lineNumber,
      samples: [detached(entry.line.slice(0, sampleCharacters))],
      files: [entry.file],
      path: path.map(detached),
      lastUsed: this.#added,
    };
    // Forgetting may have removed the emptied group from the tree: find it anew.
    this.#nodeAt(cluster.path).clusters.push(cluster);
    this.#size += 1;
    return cluster;
  }

  /** Takes from the level with most templates: a flood of one level cannot push out the few lines of another. */
  #forgetOldest(): void {
    let largest: Set<TrackedCluster> | null = null;
    for (const kept of this.#recent.values()) if (largest === null || kept.size > largest.size) largest = kept;
    const oldest = largest?.values().next().value;
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget(cluster: TrackedCluster): void {
    this.#recentOf(cluster.level).delete(cluster);
    this.#size -= 1;
    this.forgotten.clusters += 1;
    this.forgotten.lines += cluster.count;
    const nodes = [this.#root];
    for (const word of cluster.path) nodes.push(childOf(nodes.at(-1) ?? this.#root, word));
    const leaf = nodes.at(-1) ?? this.#root;
    leaf.clusters.splice(leaf.clusters.indexOf(cluster), 1);
    for (let depth = nodes.length - 1; depth > 0; depth -= 1) {
      const node = nodes[depth];
      if (node === undefined || node.children.size > 0 || node.clusters.length > 0) return;
      nodes[depth - 1]?.children.delete(cluster.path[depth - 1] ?? '');
    }
  }

  #nodeAt(path: readonly string[]): Node {
    let node = this.#root;
    for (const word of path) node = childOf(node, word);
    return node;
  }
}

function childOf(node: Node, word: string): Node {
  const known = node.children.get(word);
  if (known !== undefined) return known;
  const fresh = newNode();
  node.children.set(word, fresh);
  return fresh;
}

export const templateOf = (cluster: LogCluster): string => cluster.tokens.join(' ');

/** The same level and template have the same id, in every run and on every machine. */
export const clusterId = (cluster: LogCluster): string =>
  `c_${createHash('sha256')
    .update(`${cluster.level}\n${templateOf(cluster)}`)
    .digest('hex')
    .slice(0, 12)}`;
