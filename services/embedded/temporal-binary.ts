import { execFile } from 'node:child_process';
import { access, chmod, constants, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { KosError } from '#core/errors.ts';
import { z } from 'zod';
import { endsWithin, startChild } from './child-process.ts';
import { claimFile } from './claim.ts';
import { identifyProcess, type ProcessIdentity } from './process-identity.ts';

const run = promisify(execFile);

/** CLI v1.5.1 carries server 1.29.1, the version that the settings were measured on. */
export const temporalVersion = '1.5.1';
const goModule = `github.com/temporalio/cli/cmd/temporal@v${temporalVersion}`;
/** Older servers lack what we set (fairness, the new matcher). */
const oldestServerMinor = 28;

export interface BinarySearch {
  /** The user's cache folder for kOS. */
  cache: string;
  /** Where PATH, HOME and Go's settings are read from; handed on to the tools that are tried. */
  environment: Record<string, string | undefined>;
  /** Progress, in plain lines. */
  say: (message: string) => void;
  /** Ends a download or build that is under way. */
  signal?: AbortSignal;
}

type Found = { path: string } | { reason: string };

/** Looks where design says, in order; each try that cannot work gives up within seconds and leaves its reason for the error. */
export async function findTemporalBinary(search: BinarySearch): Promise<string> {
  const tries: [string, (search: BinarySearch) => Promise<Found>][] = [
    ['`temporal` on PATH', findOnPath],
    [`the cache folder ${cacheFolder(search)}`, findInCache],
    ["the SDK's own download", download],
    [`\`go install ${goModule}\``, buildWithGo],
  ];
  const reasons: string[] = [];
  for (const [name, attempt] of tries) {
    search.signal?.throwIfAborted();
    const found = await attempt(search);
    if ('path' in found) return found.path;
    reasons.push(`${reasons.length + 2}. ${name}: ${found.reason}`);
  }
  throw new KosError({
    code: 'temporal_not_found',
    message: `There is no Temporal server to run:\n  1. TEMPORAL_ADDRESS: not set\n  ${reasons.join('\n  ')}`,
    fix: `Make one of the five work: install the Temporal CLI (https://docs.temporal.io/cli), put its program at ${cachedBinary(search)}, or set TEMPORAL_ADDRESS to a server of your own.`,
    status: 500,
  });
}

async function findOnPath(search: BinarySearch): Promise<Found> {
  const folders = (search.environment['PATH'] ?? '').split(delimiter).filter((folder) => isAbsolute(folder));
  for (const folder of folders) {
    const path = join(folder, programName);
    if (await isExecutable(path)) return check(path);
  }
  return { reason: 'not there' };
}

async function findInCache(search: BinarySearch): Promise<Found> {
  const path = cachedBinary(search);
  return (await isExecutable(path)) ? check(path) : { reason: 'not there' };
}

/** A program of its own (temporal-download.ts), because the SDK's download cannot be given up from inside. */
async function download(search: BinarySearch): Promise<Found> {
  return intoCache(search, async (draft) => {
    const lines: string[] = [];
    const child = await startChild({
      name: 'the download of Temporal',
      file: process.execPath,
      args: [fileURLToPath(new URL('temporal-download.ts', import.meta.url)), draft],
      cwd: draft,
      env: search.environment,
      onLine: (line) => lines.push(line),
    });
    const stop = (): Promise<unknown> => child.stop([{ signal: 'SIGTERM', graceMs: 500 }]);
    whenAborted(search.signal, () => void stop());
    const started = performance.now();
    while (!(await endsWithin(child.exited, 5_000))) {
      const seconds = Math.round((performance.now() - started) / 1_000);
      if ((await readdir(draft)).length === 0) {
        await stop();
        return { reason: `nothing arrived within ${seconds} s` };
      }
      if (seconds > 600) {
        await stop();
        return { reason: 'not complete after 10 minutes' };
      }
      search.say(`Downloading the Temporal server, once per machine (${seconds} s) …`);
    }
    const name = (await readdir(draft)).find((file) => file.startsWith('temporal-cli'));
    if (name === undefined) return { reason: lines.at(-1) ?? 'it left no file' };
    return { path: join(draft, name) };
  });
}

async function buildWithGo(search: BinarySearch): Promise<Found> {
  const environment = { ...search.environment, GOFLAGS: `${search.environment['GOFLAGS'] ?? ''} -buildvcs=false`.trim() };
  const abortable = search.signal === undefined ? {} : { signal: search.signal };
  try {
    await run('go', ['version'], { env: environment, timeout: 10_000, ...abortable });
  } catch (error) {
    return { reason: (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'Go is not installed' : `Go does not run: ${(error as Error).message}` };
  }
  try {
    await run('go', ['list', '-m', `github.com/temporalio/cli@v${temporalVersion}`], { env: environment, cwd: '/', timeout: 20_000, ...abortable });
  } catch (error) {
    return { reason: `its source cannot be reached: ${lastLine((error as { stderr?: string }).stderr ?? '') ?? (error as Error).message}` };
  }
  return intoCache(search, (draft) => goInstall(search, draft, environment));
}

async function goInstall(search: BinarySearch, draft: string, environment: Record<string, string | undefined>): Promise<Found> {
  const lines: string[] = [];
  const child = await startChild({
    name: 'go install',
    file: 'go',
    args: ['install', goModule],
    cwd: draft,
    env: { ...environment, GOBIN: draft },
    onLine: (line) => lines.push(line),
  });
  // SIGINT: Go ends its compilers with itself.
  whenAborted(search.signal, () => void child.stop([{ signal: 'SIGINT', graceMs: 2_000 }]));
  const started = performance.now();
  // One that cannot work (a part of its source is out of reach) ends at once: only one that goes on is told of.
  if (!(await endsWithin(child.exited, 3_000))) search.say('Building the Temporal server with Go: about 6 minutes on two cores, once per machine.');
  while (!(await endsWithin(child.exited, 5_000))) {
    search.say(`Building the Temporal server (${Math.round((performance.now() - started) / 1_000)} s; ${lines.length} modules fetched) …`);
  }
  const exit = await child.exited;
  if (exit.code !== 0) return { reason: `the build failed: ${lines.slice(-3).join(' | ')}` };
  return { path: join(draft, programName) };
}

/** Also when it was aborted before: a listener alone would never hear of that. */
function whenAborted(signal: AbortSignal | undefined, stop: () => void): void {
  if (signal?.aborted === true) stop();
  else signal?.addEventListener('abort', stop, { once: true });
}

const draftPrefix = 'draft-';
const lookEveryMs = 1_000;

/** One start on this machine at a time fetches or builds: a second one waits for what the first one leaves. */
async function intoCache(search: BinarySearch, work: (draft: string) => Promise<Found>): Promise<Found> {
  const folder = cacheFolder(search);
  const claim = join(folder, 'maker.json');
  try {
    await mkdir(folder, { recursive: true });
    if ((await becomeMaker(search, claim)) === 'made by another') return await check(cachedBinary(search));
  } catch (error) {
    if (search.signal?.aborted === true) throw error;
    return { reason: `${folder} cannot be written: ${(error as Error).message}` };
  }
  try {
    return await makeInDraft(search, folder, work);
  } finally {
    await rm(claim, { force: true });
  }
}

async function becomeMaker(search: BinarySearch, claim: string): Promise<'maker' | 'made by another'> {
  const own = await identifyProcess(process.pid);
  if (own === null) throw new Error('this process is not in the process table');
  let waitedFor: number | null = null;
  for (;;) {
    const maker = await claimFile(claim, own, readMaker);
    if (maker === null) break;
    if (maker.pid !== waitedFor) search.say(`Another start (process ${maker.pid}) is getting the Temporal server: waiting for it …`);
    waitedFor = maker.pid;
    await sleep(lookEveryMs, undefined, search.signal === undefined ? {} : { signal: search.signal });
  }
  if (waitedFor === null || !(await isExecutable(cachedBinary(search)))) return 'maker';
  await rm(claim, { force: true });
  return 'made by another';
}

const makerSchema = z.object({ pid: z.number().int(), started: z.string() });

function readMaker(value: unknown): ProcessIdentity | null {
  const parsed = makerSchema.safeParse(value);
  return parsed.success ? parsed.data : null;
}

/** Works in a folder beside the final one and renames the finished program, so that a kill leaves nothing that looks whole. */
async function makeInDraft(search: BinarySearch, folder: string, work: (draft: string) => Promise<Found>): Promise<Found> {
  // Nobody else makes anything here: what lies about was left by starts that were killed.
  for (const name of await readdir(folder)) if (name.startsWith(draftPrefix)) await rm(join(folder, name), { recursive: true, force: true });
  const draft = await mkdtemp(join(folder, draftPrefix));
  try {
    const found = await work(draft);
    if ('reason' in found) return found;
    await chmod(found.path, 0o755);
    const checked = await check(found.path);
    if ('reason' in checked) return checked;
    await rename(found.path, cachedBinary(search));
    return { path: cachedBinary(search) };
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Runs it once: a file for another machine, or half of one, must not be found out later. */
async function check(path: string): Promise<Found> {
  try {
    const { stdout } = await run(path, ['--version'], { timeout: 20_000 });
    const server = /Server 1\.(\d+)/.exec(stdout);
    if (server === null) return { reason: `${path} does not say which server it carries` };
    if (Number(server[1]) < oldestServerMinor) return { reason: `${path} carries server 1.${server[1]}, 1.${oldestServerMinor} or later is needed` };
    return { path };
  } catch (error) {
    return { reason: `${path} does not run: ${lastLine((error as { stderr?: string }).stderr ?? '') ?? (error as Error).message}` };
  }
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    // Missing or not ours to run: either way not a candidate.
    return false;
  }
}

const programName = process.platform === 'win32' ? 'temporal.exe' : 'temporal';
const cacheFolder = (search: BinarySearch): string => join(search.cache, `temporal-${temporalVersion}`);
const cachedBinary = (search: BinarySearch): string => join(cacheFolder(search), programName);
const lastLine = (text: string): string | undefined => text.trim().split('\n').at(-1) || undefined;
