import { access, constants, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Configuration, projectRoot } from '#config';
import { isPortFree } from '#services/embedded/ports.ts';
import type { Client } from '../client.ts';
import { asKosError } from '../faults.ts';
import { describeBytes } from '../times.ts';
import { findTemporalProgram, readDisk, readOwnFacts, readPartProcesses } from './home-facts.ts';

export interface Finding {
  name: string;
  verdict: 'ok' | 'warning' | 'fault';
  text: string;
  /** What helps; null: nothing needs help. */
  fix: string | null;
}

type Check = (configuration: Configuration, client: Client) => Promise<Finding>;

const ok = (name: string, text: string): Finding => ({ name, verdict: 'ok', text, fix: null });
const warning = (name: string, text: string, fix: string): Finding => ({ name, verdict: 'warning', text, fix });
const fault = (name: string, text: string, fix: string): Finding => ({ name, verdict: 'fault', text, fix });

/** Every check of `kai doctor`, in the order in which one would look. None changes anything. */
export const checks: readonly Check[] = [
  checkNode,
  checkHome,
  checkKeyFile,
  checkDisk,
  checkTemporalProgram,
  checkModels,
  checkProcesses,
  checkPort,
  checkReady,
  checkQueueOrder,
  checkClock,
  checkKey,
];

const neededNode = 24;

async function checkNode(): Promise<Finding> {
  const major = Number.parseInt(process.versions.node, 10);
  const text = `Node ${process.versions.node} at ${process.execPath}`;
  return major >= neededNode ? ok('node', text) : fault('node', text, `kOS runs on Node ${neededNode}: npm start installs it.`);
}

async function checkHome({ home }: Configuration): Promise<Finding> {
  let mode: number;
  try {
    ({ mode } = await stat(home));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return warning('home', `${home} does not exist yet`, 'npm start makes it.');
    return fault('home', `${home} cannot be read: ${(error as Error).message}`, 'Run kai as the user who started kOS, or set KOS_HOME.');
  }
  if (!(await mayUse(home)))
    return fault('home', `${home} cannot be written by this user`, 'Run kai and npm start as the user it belongs to, or set KOS_HOME.');
  if (process.platform !== 'win32' && (mode & 0o077) !== 0)
    return warning('home', `${home} is open to other users (mode ${(mode & 0o777).toString(8)})`, `chmod 700 ${home}`);
  return ok('home', home);
}

async function mayUse(path: string): Promise<boolean> {
  return await access(path, constants.R_OK | constants.W_OK | constants.X_OK).then(
    () => true,
    () => false, // whatever the reason, it cannot be used
  );
}

/** The owner's key stands in it. */
async function checkKeyFile({ home, cli }: Configuration): Promise<Finding> {
  if (cli.apiKey !== undefined) return ok('key file', 'not used: KOS_API_KEY is set');
  const path = join(home, 'cli.json');
  try {
    const { mode } = await stat(path);
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      return fault('key file', `${path} can be read by other users (mode ${(mode & 0o777).toString(8)})`, `chmod 600 ${path}, then restart kOS.`);
    }
    return ok('key file', path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return warning('key file', `${path} does not exist yet`, 'npm start writes it.');
    return fault('key file', `${path} cannot be read: ${(error as Error).message}`, 'Run kai as the user who started kOS.');
  }
}

async function checkDisk({ home }: Configuration): Promise<Finding> {
  const place = (await mayUse(home)) ? home : projectRoot;
  const { freeBytes, runsWait } = await readDisk(place);
  const text = `${describeBytes(freeBytes)} free where ${place} lies`;
  return !runsWait
    ? ok('disk', text)
    : fault('disk', `${text}: new runs wait until there is 1 GB`, 'Free some space, or shorten retention: kai settings set retention.runsDays 30');
}

async function checkTemporalProgram(configuration: Configuration): Promise<Finding> {
  if (configuration.temporal.address !== undefined) return ok('temporal', `configured: ${configuration.temporal.address}`);
  const program = await findTemporalProgram(configuration.cache);
  if (program !== null) return ok('temporal', program.path);
  return warning(
    'temporal',
    'there is no Temporal program on PATH or in the cache folder yet',
    'npm start fetches or builds it, once per machine; or set TEMPORAL_ADDRESS.',
  );
}

async function checkModels({ openai }: Configuration): Promise<Finding> {
  if (openai.apiKey === undefined && openai.baseUrl === undefined) return ok('models', 'builtin: rules that need no key and no network, labelled as such');
  return ok('models', `an OpenAI-compatible server at ${openai.baseUrl ?? 'its own address'}${openai.apiKey === undefined ? ', without a key' : ''}`);
}

async function checkProcesses({ home, cli }: Configuration): Promise<Finding> {
  const parts = await readPartProcesses(home);
  const running = parts.filter((part) => part.running);
  const describe = running.map((part) => `${part.name} ${part.pid}`).join(', ');
  if (!running.some((part) => part.name === 'supervisor')) {
    if (cli.url !== undefined) return ok('processes', `none here; KOS_URL names ${cli.url}`);
    const left = running.length === 0 ? '' : ` Left behind: ${describe}; the next start ends them.`;
    return warning('processes', `kOS is not running on ${home}.${left}`, 'npm start (or kai up)');
  }
  const gone = parts.filter((part) => !part.running).map((part) => part.name);
  return gone.length === 0
    ? ok('processes', describe)
    : warning('processes', `${describe}; gone: ${gone.join(', ')}`, `The supervisor starts them again; if it does not, look in ${join(home, 'logs')}.`);
}

async function checkPort(configuration: Configuration): Promise<Finding> {
  const { port, host, home } = configuration;
  const runs = (await readPartProcesses(home)).some((part) => part.running && part.name === 'supervisor');
  const ownPort = runs ? (await readOwnFacts(home)).port : null;
  if (port === 0) return ok('port', 'any free one (KOS_PORT is 0)');
  if (await isPortFree(port, host)) return ok('port', runs ? `${host}:${port} is free: kOS was started on another port` : `${host}:${port} is free`);
  if (ownPort === port) return ok('port', `${host}:${port} is taken, as it should be`);
  return ownPort !== null
    ? ok('port', `kOS listens on port ${ownPort}; another program holds ${host}:${port}`)
    : warning('port', `another program holds ${host}:${port}`, 'Stop it, or start on another port: npm start -- --port 0');
}

async function checkReady(_configuration: Configuration, client: Client): Promise<Finding> {
  try {
    const { ready, parts } = await client.ready();
    const words = Object.entries(parts)
      .map(([name, status]) => `${name} ${status}`)
      .join(', ');
    return ready
      ? ok('server', `${await client.transport.address()} is ready: ${words}`)
      : fault('server', `not ready: ${words}`, 'The supervisor starts parts that are down again; see logs/ in KOS_HOME.');
  } catch (thrown) {
    const error = asKosError(thrown);
    return fault('server', error.message, error.fix ?? 'npm start');
  }
}

/** Whether Temporal serves workspaces in turn is a setting of its own, which the server tried when it started. */
async function checkQueueOrder(_configuration: Configuration, client: Client): Promise<Finding> {
  const starts = await client.starts.get().catch((thrown: unknown) => asKosError(thrown));
  if (starts instanceof Error) return warning('fairness', `not known: ${starts.message}`, starts.fix ?? 'npm start');
  const { queueOrder, admission } = starts;
  if (queueOrder === null) return ok('fairness', 'not tried yet: Temporal has not answered since the server started');
  const missing = [...(queueOrder.fair ? [] : ['workspaces in turn']), ...(queueOrder.byPriority ? [] : ['urgent runs first'])];
  if (missing.length === 0) return ok('fairness', 'Temporal serves workspaces in turn, and urgent runs first');
  const bound = queueOrder.fair ? '' : `; at most ${(admission.runsAtOnce ?? 0).toLocaleString('en-US')} runs of this workspace are at work at once`;
  return warning(
    'fairness',
    `Temporal does not serve ${missing.join(', nor ')}${bound}`,
    'In Temporal’s dynamic configuration set matching.useNewMatcher and matching.enableFairness; or bound each workspace: kai settings set runsAtOnce N',
  );
}

/** Deadlines are set by the server's clock and shown against ours. */
const toleratedSkewMs = 5_000;

async function checkClock(_configuration: Configuration, client: Client): Promise<Finding> {
  const before = Date.now();
  const serverTime = await client.ready().then(
    (readiness) => readiness.serverTime,
    () => null, // checked by `server` above
  );
  if (serverTime === null) return ok('clock', `${new Date(before).toISOString()}; there is no server to compare it with`);
  // An HTTP date has whole seconds, and was made at some time between our asking and its arrival.
  const skewMs = Math.max(0, Math.abs(Date.parse(serverTime) + 500 - (before + Date.now()) / 2) - 500);
  if (skewMs <= toleratedSkewMs) return ok('clock', 'agrees with the server');
  return warning('clock', `is ${Math.round(skewMs / 1000)} s off the server's`, 'Set the clocks by NTP: expiry and deadlines follow the server.');
}

async function checkKey(_configuration: Configuration, client: Client): Promise<Finding> {
  try {
    const me = await client.me();
    return ok('key', `${me.principal.name}, ${me.roles.join(', ')} of the workspace ${me.workspace?.slug ?? '(none)'}`);
  } catch (thrown) {
    const error = asKosError(thrown);
    if (error.code === 'server_unreachable' || error.code === 'never_started') return ok('key', 'not checked: no server answers');
    return fault('key', error.message, error.fix ?? 'Restart kOS: every start makes sure that the owner has a key.');
  }
}
