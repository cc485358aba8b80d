import { execFile } from 'node:child_process';
import { availableParallelism, cpus, totalmem } from 'node:os';
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
    const [hash, changes] = await Promise.all([git('rev-parse', '--short', 'HEAD'), git('status', '--porcelain', '--untracked-files=no')]);
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

/** `bench/RESULTS.md`. */
export function formatRecord(machine: Machine, measured: readonly Measured[]): string {
  const rows = measured.flatMap(({ lines }) => lines.map((line) => `| ${line.what} | ${line.ours} | ${line.floor} | ${line.reach} | ${verdictOf(line)} |`));
  const bounds = measured.map(({ figure }) => `- **${figure.name}**: ${figure.bound}`);
  return `# Speed and memory

Made by \`npm run bench\` on ${machine.date}, commit ${machine.commit}: ${machine.cores} cores (${machine.processor}), ${machine.memoryGigabytes} GB of memory, Node ${machine.node}.
Each figure and its floor were measured in one run, in turn, on one Temporal server and with the same worker options; ratios are medians over pairs. The floor is what
somebody would write by hand (\`bench/floor/\`): no ledger, no codec, no events.

| figure | ours | floor | reach | met |
|---|---|---|---|---|
${rows.join('\n')}

## What bounds them

${bounds.join('\n')}
`;
}
