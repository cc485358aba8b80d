import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '#config';
import type { Line, Measured } from './figures/figure.ts';

export interface Machine {
  date: string;
  /** Short hash, with a plus sign where the checkout was changed since. */
  commit: string;
  cores: number;
  processor: string;
  memoryGigabytes: number;
  node: string;
}

export async function describeMachine(): Promise<Machine> {
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: await describeCommit(),
    cores: availableParallelism(),
    processor: cpus()[0]?.model ?? 'unknown',
    memoryGigabytes: Math.round(totalmem() / 1024 ** 3),
    node: process.version,
  };
}

const run = promisify(execFile);

async function describeCommit(): Promise<string> {
  try {
    const git = async (...args: string[]): Promise<string> => (await run('git', args, { cwd: projectRoot })).stdout.trim();
    const [hash, changes] = await Promise.all([
      git('rev-parse', '--short', 'HEAD'),
      git('status', '--porcelain', '--untracked-files=no', '--', '.', ':!bench/RESULTS.md', ':!bench/results.json'),
    ]);
    return changes === '' ? hash : `${hash}+`;
  } catch {
    // An unpacked archive has no history; its figures are still true.
    return 'unknown';
  }
}

const verdictOf = ({ met }: Line): string => (met === null ? '' : met ? 'yes' : 'NO');

/** For a terminal: one block per line, since they are long. */
export function formatTable(measured: readonly Measured[]): string {
  const lines = measured.flatMap((figure) => figure.lines);
  return lines
    .map((line) => `${verdictOf(line).padEnd(3)} ${line.what}\n      ours   ${line.ours}\n      floor  ${line.floor}\n      reach  ${line.reach}`)
    .join('\n');
}

/** One figure as it was last measured, with where and on what. */
export interface FigureRecord {
  name: string;
  bound: string;
  lines: Line[];
  machine: Machine;
}

const recordsFile = join(projectRoot, 'bench', 'results.json');
const pageFile = join(projectRoot, 'bench', 'RESULTS.md');

/** Puts one figure on record in the place of what was measured of it before. The others stand as they are, with their own dates. */
export async function keepRecord(order: readonly string[], { figure, lines }: Measured, machine: Machine): Promise<void> {
  const others = (await readRecords()).filter(({ name }) => name !== figure.name);
  const records = [...others, { name: figure.name, bound: figure.bound, lines, machine }].toSorted(
    (one, other) => order.indexOf(one.name) - order.indexOf(other.name),
  );
  await writeFile(recordsFile, `${JSON.stringify(records, null, 2)}\n`);
  await writeFile(pageFile, formatPage(records));
}

async function readRecords(): Promise<FigureRecord[]> {
  try {
    return JSON.parse(await readFile(recordsFile, 'utf8')) as FigureRecord[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

const inOneCell = (text: string): string => text.replaceAll('|', '\\|');

function formatPage(records: readonly FigureRecord[]): string {
  const rows = records.flatMap(({ lines, machine }) =>
    lines.map((line) =>
      [line.what, line.ours, line.floor, line.reach, verdictOf(line), `${machine.date} ${machine.commit}`]
        .map(inOneCell)
        .reduce((row, cell) => `${row} ${cell} |`, '|'),
    ),
  );
  const machines = new Set(
    records.map(({ machine }) => `${machine.cores} cores (${machine.processor}), ${machine.memoryGigabytes} GB of memory, Node ${machine.node}`),
  );
  return `# Speed and memory

Made by \`npm run bench\` on ${[...machines].join('; and on ')}.
Each figure and its floor were measured in one run, in turn, on one Temporal server and with the same worker options; ratios are medians over pairs. The floor is what
somebody would write by hand (\`bench/floor/\`): no ledger, no codec, no events. Figures of the API are of an installation that \`npm start\` brought up, asked by a
client in another process with the owner's local key, whose limit (100 requests/s) they keep to; a trigger takes 600 deliveries a minute, so there are ten. Requests come in
an open loop: by the clock, whether or not those before them were answered, and a latency counts from the moment at which its request was due. A figure that was measured
again replaces its rows, and no others; a plus sign behind a commit says that the checkout had changes.

| figure | ours | floor | reach | met | taken |
|---|---|---|---|---|---|
${rows.join('\n')}

## What bounds them

${records.map(({ name, bound }) => `- **${name}**: ${bound}`).join('\n')}
`;
}
