/**
 * What must stand before anything with a dependency can run: the packages of package-lock.json and a Node 24. No dependencies, Node >= 20.
 * `npm start`, `npm test` and `kai` share it.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const projectRoot = dirname(dirname(fileURLToPath(import.meta.url)));
const oldestNode = 20;
const neededNode = 24;
/** For machines that have no platform package in the lockfile (macOS): the npm package `node`, kept outside the checkout. */
const fallbackNodeVersion = '24.21.0';

/**
 * Installs what package-lock.json names, if that is not what stands in node_modules, and makes sure of a Node 24. Says what it does in plain
 * lines; quick (a hash and a comparison) when there is nothing to do.
 * @param {{ root?: string, say?: (line: string) => void }} [options]
 * @returns {Promise<void>}
 */
export async function ensureInstalled({ root = projectRoot, say = console.log } = {}) {
  refuseOldNode();
  const lockText = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const lock = createHash('sha256').update(lockText).digest('hex');
  const marker = readMarker(root);
  if (marker?.lock === lock && existsSync(join(root, 'node_modules', '.package-lock.json'))) {
    return;
  }
  if (!isInstalled(root, lockText)) {
    await install(root, Object.keys(JSON.parse(lockText).packages).length - 1, say);
  }
  const platformNodeRuns = nodeMajor(platformNode(root)) === neededNode;
  writeFileSync(join(root, 'node_modules', '.kos-installed'), `${JSON.stringify({ lock, platformNodeRuns })}\n`);
  if (!platformNodeRuns && major(process.versions.node) < neededNode && nodeMajor(fallbackNode()) !== neededNode) {
    await installFallbackNode(say);
  }
}

/**
 * The Node 24 that runs kOS: the platform's package, else our own process' when new enough, else the fallback. Throws one clear error.
 * @param {{ root?: string }} [options]
 * @returns {string} path of the program
 */
export function findNode24({ root = projectRoot } = {}) {
  const fromPackage = platformNode(root);
  if (readMarker(root)?.platformNodeRuns !== false && existsSync(fromPackage)) {
    return fromPackage;
  }
  if (major(process.versions.node) >= neededNode) {
    return process.execPath;
  }
  if (existsSync(fallbackNode())) {
    return fallbackNode();
  }
  throw new Error(
    `kOS runs on Node ${neededNode}, and this is Node ${process.versions.node}: install Node ${neededNode} (https://nodejs.org), or run npm start once with a network.`,
  );
}

function refuseOldNode() {
  if (major(process.versions.node) < oldestNode) {
    console.error(`kOS needs Node ${oldestNode} or later to start; this is Node ${process.versions.node}. Install a newer one from https://nodejs.org.`);
    process.exit(1);
  }
}

/** @param {string} version */
function major(version) {
  return Number.parseInt(version, 10);
}

/** @param {string} root @returns {{ lock: string, platformNodeRuns: boolean } | undefined} */
function readMarker(root) {
  const file = join(root, 'node_modules', '.kos-installed');
  if (!existsSync(file)) {
    return undefined;
  }
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}

/**
 * Whether npm's own record of node_modules has every package of the lockfile (people run `npm install` themselves). Optional ones may be
 * missing: most are for other platforms.
 * @param {string} root @param {string} lockText
 */
function isInstalled(root, lockText) {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) {
    return false;
  }
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  const wanted = Object.entries(JSON.parse(lockText).packages).filter(([path]) => path !== '');
  return wanted.every(([path, entry]) => (installed[path] === undefined ? entry.optional === true : installed[path].version === entry.version));
}

/** @param {string} root @param {number} count @param {(line: string) => void} say */
async function install(root, count, say) {
  say(`Installing about ${count} packages; this is done once.`);
  const args = ['ci', '--ignore-scripts', '--include=dev', '--include=optional', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  const { code, output, seconds } = await runNpm(args, root, (elapsed) => say(`Installing (${elapsed} s) …`));
  if (code !== 0) {
    throw new Error(
      `The packages could not be installed (npm ci ended with code ${code}):\n${output.trimEnd()}\nCheck the network and the free space, then try again.`,
    );
  }
  say(`Installed in ${seconds} s.`);
}

/** @param {(line: string) => void} say */
async function installFallbackNode(say) {
  const folder = fallbackFolder();
  say(`This machine has no Node ${neededNode}: fetching one into ${folder}; this is done once.`);
  mkdirSync(folder, { recursive: true });
  const args = ['install', '--prefix', folder, `node@${fallbackNodeVersion}`, '--no-audit', '--no-fund', '--loglevel=error'];
  const { code, output } = await runNpm(args, folder, (elapsed) => say(`Fetching Node ${neededNode} (${elapsed} s) …`));
  if (code !== 0 || nodeMajor(fallbackNode()) !== neededNode) {
    throw new Error(`Node ${neededNode} could not be fetched:\n${output.trimEnd()}\nInstall it from https://nodejs.org and start again.`);
  }
}

/**
 * npm says a lot that helps nobody here, so its words are shown only when it fails.
 * @param {string[]} args @param {string} cwd @param {(seconds: number) => void} progress
 * @returns {Promise<{ code: number | null, output: string, seconds: number }>}
 */
function runNpm(args, cwd, progress) {
  const startedAt = Date.now();
  const seconds = () => Math.round((Date.now() - startedAt) / 1000);
  // npm names its own program to what it runs; otherwise it is looked up (on Windows a .cmd file, which needs a shell).
  const npm = process.env['npm_execpath'];
  const child = npm?.endsWith('.js')
    ? spawn(process.execPath, [npm, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    : spawn('npm', args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], shell: process.platform === 'win32' });
  let output = '';
  const collect = (/** @type {Buffer} */ chunk) => {
    output += chunk;
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const timer = setInterval(() => progress(seconds()), 5000);
  return new Promise((resolve) => {
    child.on('error', (error) => {
      clearInterval(timer);
      resolve({ code: null, output: `npm does not run: ${error.message}`, seconds: seconds() });
    });
    child.on('close', (code) => {
      clearInterval(timer);
      resolve({ code, output, seconds: seconds() });
    });
  });
}

/** @param {string} root */
function platformNode(root) {
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  return join(root, 'node_modules', `node-${platform}-${process.arch}`, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}

/** What all checkouts of this user share: the same folder as `cache` in temporal.config.ts. @returns {string} */
export function cacheFolder() {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'kos');
}

function fallbackFolder() {
  return join(cacheFolder(), `node-${fallbackNodeVersion}`);
}

function fallbackNode() {
  return join(fallbackFolder(), 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}

/** Runs it: a package of the right platform can still be for another C library. @param {string} program */
function nodeMajor(program) {
  if (!existsSync(program)) {
    return undefined;
  }
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  return status === 0 ? major(stdout.slice(1)) : undefined;
}
