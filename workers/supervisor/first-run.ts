import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { startChild } from '#services/embedded/child-process.ts';
import { writeJsonFile } from '#services/embedded/run-records.ts';

export interface FirstRunOptions {
  home: string;
  projectRoot: string;
  environment: Record<string, string | undefined>;
  url: string;
  /** Into the supervisor's log. */
  onLine: (line: string) => void;
  print: (message: string) => void;
  signal: AbortSignal;
}

/**
 * Shows on the very first start what kOS does: the example log-triage, on this installation's own logs. Done once; a failure is told and
 * tried again at the next start, and never is the start's own.
 */
export async function runFirstExample(options: FirstRunOptions): Promise<void> {
  const marker = join(options.home, 'first-run.json');
  if (await exists(marker)) return;
  const launcher = join(options.projectRoot, 'cli', 'kai.mjs');
  const output: string[] = [];
  const child = await startChild({
    name: 'the first example',
    file: process.execPath,
    args: [launcher, 'run', 'start', 'log-triage', '--input', `path=${join(options.home, 'logs')}`, '--input', 'autoApprove=true', '--wait', '--json'],
    cwd: options.projectRoot,
    // Of this installation, whichever server the person's own kai talks to.
    env: { ...options.environment, KOS_HOME: options.home, KOS_URL: undefined, KOS_API_KEY: undefined, KOS_LOCAL: '1' },
    onLine: (line, stream) => {
      // Its progress is for the log, its result for us.
      if (stream === 'stdout') output.push(line);
      else options.onLine(line);
    },
  });
  const stop = (): void => void child.stop([{ signal: 'SIGTERM', graceMs: 500 }]);
  options.signal.addEventListener('abort', stop);
  if (options.signal.aborted) stop();
  const { code } = await child.exited;
  if (options.signal.aborted) return;
  const run = lastJson(output);
  if (code !== 0 || run === null) {
    options.print(
      "The first example (log-triage on this installation's own logs) did not finish; it is tried again at the next start. See logs/supervisor.jsonl.",
    );
    return;
  }
  await writeJsonFile(marker, { at: new Date().toISOString(), runId: run.id });
  options.print(`First example done: log-triage has read this installation's own logs.${describeReport(run, options.url)}`);
}

interface FinishedRun {
  id: string;
  output: unknown;
}

function lastJson(lines: string[]): FinishedRun | null {
  for (const text of [lines.join('\n'), lines.at(-1) ?? '']) {
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string')
        return { id: value.id, output: 'output' in value ? value.output : null };
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  return null;
}

function describeReport(run: FinishedRun, url: string): string {
  const artifact = /art_[0-9a-f-]{36}/.exec(JSON.stringify(run.output ?? null))?.[0];
  if (artifact === undefined) return ` Its result: npx kai run result ${run.id}`;
  return `\n  Its report: npx kai artifact get ${artifact}   (${url}/v1/artifacts/${artifact})`;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
